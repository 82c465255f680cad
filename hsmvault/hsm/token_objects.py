"""Private keys that live in the token: found, listed and destroyed by their CKA_ID of 16 random bytes.

Searches are linear in all objects of the token: for first use, start and repair, never on a hot path.

SoftHSM 2.6.1 counts the changes of a token in one number on its disk, which each process compares with the one that it
saw last. A process that writes adds one and takes the result for what it has seen: what another one wrote in between
stays hidden from it until the next change. A key would seem not to be there, and a destruction would be none. So the
processes of a node take turns at writing, and who writes looks first (writing()).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pkcs11 import Attribute, ObjectClass

from hsmvault.errors import Unavailable
from hsmvault.hsm.module import Module
from hsmvault.hsm.objects import Stay, expected_attributes, find, key_type, private_template
from hsmvault.hsm.objects import differing_attributes as differing
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import KeySpec


@contextmanager
def writing(module: Module, work: WorkSession) -> Iterator[None]:
    """Around whatever makes or destroys token objects while other processes of the node are at work. Not to be nested.

    Raises Unavailable when another process does not end its turn, and the module's error.
    """
    with module.alone() as is_alone:
        if not is_alone:
            raise Unavailable(
                "The service is temporarily unavailable. Please retry the request.",
                detail="another process of this node does not come to the end of writing to the token",
            )
        list(work.session.get_objects({Attribute.CLASS: ObjectClass.DOMAIN_PARAMETERS}))  # none: it reads what is new
        yield


def find_private(work: WorkSession, spec: KeySpec, stay: Stay) -> KeyObject | None:
    """The key with this CKA_ID, its flags read back. None is no proof of absence: ask the canary.

    Raises WrongAttributes when it is not as it was made, or when two share the id; nothing is destroyed.
    """
    assert stay.token_id is not None
    found = find(work, ObjectClass.PRIVATE_KEY, stay.token_id)
    if not found:
        return None
    if len(found) > 1:
        raise WrongAttributes(f"{len(found)} objects share one CKA_ID")
    wanted = expected_attributes(private_template(work.profile, spec, stay), spec)
    if wrong := differing(found[0], wanted):
        raise WrongAttributes(f"the object has other values of {', '.join(wrong)}")
    return work.hold(found[0], key_type(spec), is_stored=True)


def destroy_private(work: WorkSession, token_id: bytes) -> int:
    """Destroy every private key with this CKA_ID; returns how many there were. After a failed attempt a new search
    finds what is left (softhsm/SoftHSMv2#903: the handle dies before the file).
    """
    found = find(work, ObjectClass.PRIVATE_KEY, token_id)
    for one in found:
        one.destroy()
    return len(found)


def private_ids(work: WorkSession) -> list[bytes]:
    """CKA_IDs of all private keys in the token; 0.7 s for each 1,000 on SoftHSM."""
    template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.TOKEN: True}
    return [cast(bytes, found[Attribute.ID]) for found in list(work.session.get_objects(template))]

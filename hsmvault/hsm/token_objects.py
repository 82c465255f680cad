"""Private keys that live in the token: found, listed and destroyed by their CKA_ID of 16 random bytes.

Searches are linear in all objects of the token: for first use, start and repair, never on a hot path.
"""

from typing import cast

from pkcs11 import Attribute, ObjectClass

from hsmvault.hsm.objects import Stay, expected_attributes, find, key_type, private_template
from hsmvault.hsm.objects import differing_attributes as differing
from hsmvault.hsm.returncodes import WrongAttributes
from hsmvault.hsm.work import KeyObject, WorkSession
from hsmvault.model.algorithms import KeySpec


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
    return work.hold(found[0], key_type(spec))


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

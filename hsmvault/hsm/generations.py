"""Another generation of a world's keys: made beside the one in use, and, for system keys, destroyed behind it.

Each function blocks and works with exactly the CKA_ID that it is given, which the database has before: an attempt that
was interrupted is taken up with the same id.
"""

from enum import Enum

from pkcs11 import Attribute, ObjectClass

from hsmvault.errors import HsmRefusal
from hsmvault.hsm import ceremony, mechanisms
from hsmvault.hsm.module import Module, TokenSelector
from hsmvault.hsm.objects import find
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.raw import CKU_USER
from hsmvault.hsm.returncodes import ModuleError, describe
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import CANARY_MESSAGE, SYSTEM_KEY, WORLD_KEY, problems


class Ending(Enum):
    """What became of a key that was to be destroyed."""

    DESTROYED = "destroyed"
    ABSENT = "not there"
    KEPT = "the token does not destroy it"


def make_system_key(work: WorkSession, token_id: bytes) -> None:
    """The system key with this id, which seals nothing yet: what an interrupted attempt left is kept when it is whole,
    and else made anew. Raises HsmRefusal when the key is not as it must be, or the module's error.
    """
    for left in find(work, ObjectClass.SECRET_KEY, token_id):
        if not problems(work, SYSTEM_KEY, left):
            return
        left.destroy()
    ceremony.generate(work, SYSTEM_KEY, token_id)
    ceremony.require(work, SYSTEM_KEY, find(work, ObjectClass.SECRET_KEY, token_id))


def destroy_system_key(work: WorkSession, token_id: bytes) -> Ending:
    """The system key with this id, which nothing needs any more.

    KEPT: it was made with DESTROYABLE=0, as those of older installations were. ABSENT is believed only because the
    token proves in the same breath that it serves: a search on a token that is out of reach finds nothing, too. Raises
    the module's error.
    """
    assert work.world is not None
    there = find(work, ObjectClass.SECRET_KEY, token_id)
    if work.profile.destroyable and not all(one[Attribute.DESTROYABLE] for one in there):
        return Ending.KEPT
    for one in there:
        one.destroy()
    mechanisms.hmac_sha256(work, work.world.mac, CANARY_MESSAGE)
    return Ending.DESTROYED if there else Ending.ABSENT


def make_world_key(module: Module, selector: TokenSelector, token_id: bytes, *, so_pin: Pin, user_pin: Pin) -> bool:
    """A locked world key with this id, by the ceremony of ceremony.py, in a process that has no other session: a
    login belongs to the process. Other processes of the node wait meanwhile before they log in.

    False when the token holds something with this id that is no such key and cannot be destroyed: another id is needed.
    Raises HsmRefusal when a PIN is refused (each is tried once) or the token refuses a step.
    """
    try:
        with module.alone(), ceremony.ceremony_session(module, selector) as work:
            ceremony.login(module, work, CKU_USER, user_pin, "user")  # first: a wrong PIN ends it here
            for left in find(work, ObjectClass.SECRET_KEY, token_id):
                if not problems(work, WORLD_KEY, left):
                    return True
                try:
                    left.destroy()
                except ModuleError:
                    return False
            module.raw.logout(work.session_handle)
            ceremony.make_world_key(module, work, so_pin, user_pin, token_id)
            ceremony.require(work, WORLD_KEY, find(work, ObjectClass.SECRET_KEY, token_id))
            return True
    except ModuleError as error:
        raise HsmRefusal(f"The token refuses a step of the ceremony ({describe(error)}).") from error

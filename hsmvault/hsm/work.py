"""A session with what it needs to work, and keys bound to it.

A handle is good in all sessions of the process (profile: handles_shared), but a key object of python-pkcs11 belongs
to the session that found it, costs 0.2 to 0.3 ms to make and asks for ten attributes. So keys travel as handle,
type and generation, and are bound to the session of the moment by a class that has the operations and no state.

A handle of another generation is refused *before* the call: after C_Finalize and C_Initialize handle numbers start
again, and an old one silently names another key.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, _pkcs11, types

from hsmvault.hsm.profile import Profile
from hsmvault.hsm.raw import RawFunctions
from hsmvault.hsm.returncodes import ModuleError, StaleHandle, Verdict, judge
from hsmvault.hsm.single_part import SinglePart, SinglePartKey


class KeyUses(Protocol):
    """A key bound to a session, for what callers do with it all day. data is bytes, never bytearray or memoryview:
    those leave the session in CKR_OPERATION_ACTIVE for good.
    """

    def sign(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes: ...

    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes: ...

    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes: ...


class KeyInSession(KeyUses, Protocol):
    """A key bound to a session, with everything that python-pkcs11 can do with it."""

    def verify(
        self, data: bytes, signature: bytes, *, mechanism: Mechanism, mechanism_param: object = None
    ) -> bool: ...

    def wrap_key(self, key: object, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes: ...

    def unwrap_key(
        self,
        object_class: ObjectClass,
        key_type: KeyType,
        key_data: bytes,
        *,
        mechanism: Mechanism,
        capabilities: int,
        template: Mapping[Attribute, object],
        mechanism_param: object = None,
    ) -> pkcs11.Object: ...


class _HasHandle(Protocol):
    handle: int


def _make_class() -> Callable[[pkcs11.Session, int, KeyType], KeyInSession]:
    def initialise(self: object, session: pkcs11.Session, handle: int, key_type: KeyType) -> None:
        self.session, self.handle, self.key_type = session, handle, key_type  # type: ignore[attr-defined]  # slots below

    names = ("SignMixin", "VerifyMixin", "DecryptMixin", "EncryptMixin", "WrapMixin", "UnwrapMixin")
    bases = (*(vars(_pkcs11)[name] for name in names), types.Key)
    # The slots stand in front of the properties `session` and `handle` of the base classes.
    made: Callable[[pkcs11.Session, int, KeyType], KeyInSession] = type(
        "BoundKey", bases, {"__slots__": ("handle", "session"), "__init__": initialise}
    )
    return made


_bound = _make_class()


@dataclass(frozen=True, slots=True)
class KeyObject:
    """A key in the token. origin: python-pkcs11's object in the session that made it, for attributes and destruction
    (that session's thread only). is_stored: a token object, which a module may have to read from its store again.
    """

    generation: int
    handle: int
    key_type: KeyType
    origin: pkcs11.Object = field(repr=False, compare=False)
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class WorldObjects:
    """The keys of a world as this generation found them. canary: HMAC of fixed bytes under the MAC key. located: keys
    of the world by label and CKA_ID, those of older generations too, as they were asked for (world_keys.locate()).
    """

    world: KeyObject | None
    mac: KeyObject
    system: KeyObject | None
    canary: bytes = field(repr=False)
    located: dict[tuple[str, bytes], KeyObject] = field(default_factory=dict, repr=False)


class WorkSession:
    """A session that belongs to one thread. Everything that touches it runs in that thread."""

    __slots__ = (
        "_functions",
        "_functions_of_stored",
        "_open",
        "generation",
        "keeps_objects",
        "profile",
        "raw",
        "reopened",
        "session",
        "world",
    )

    def __init__(
        self,
        opener: Callable[[], pkcs11.Session],
        session: pkcs11.Session,
        *,
        generation: int,
        profile: Profile,
        raw: RawFunctions,
        world: WorldObjects | None,
        keeps_objects: bool = False,
    ) -> None:
        self._open = opener
        self._functions = SinglePart(raw, keep=profile.brief_blocks)
        self._functions_of_stored = SinglePart(raw, keep=False)
        self.session = session
        self.generation = generation
        self.profile = profile
        self.raw = raw
        self.world = world
        self.keeps_objects = keeps_objects
        """Session objects die with this session: it is not replaced without a new generation."""
        self.reopened = 0

    def bind(self, key: KeyObject) -> KeyInSession:
        """Raises StaleHandle before anything reaches the module when the key is of another generation."""
        if key.generation != self.generation:
            raise StaleHandle
        return _bound(self.session, key.handle, key.key_type)

    def use(self, key: KeyObject) -> KeyUses:
        """The same for what is hot: two calls into the module instead of three, and one hand-over of the interpreter's
        lock (single_part.py). What the module raises there is a ReturnCode.
        """
        if key.generation != self.generation:
            raise StaleHandle
        functions = self._functions_of_stored if key.is_stored else self._functions
        return SinglePartKey(functions, self.session_handle, key.handle)

    def hold(self, found: pkcs11.Object, key_type: KeyType, *, is_stored: bool = False) -> KeyObject:
        """Keep an object that was just made or found in this session."""
        handle = found.handle
        assert handle is not None
        return KeyObject(self.generation, handle, key_type, found, is_stored)

    @property
    def session_handle(self) -> int:
        """For functions that python-pkcs11 lacks (raw.py); its stub does not know the attribute."""
        return cast(_HasHandle, self.session).handle

    @contextmanager
    def aside(self) -> Iterator["WorkSession"]:
        """A session for one act that may leave something behind: whatever it made dies with it. For the same thread.
        Raises the module's error when it gives none.
        """
        session = self._open()
        try:
            yield WorkSession(
                self._open,
                session,
                generation=self.generation,
                profile=self.profile,
                raw=self.raw,
                world=self.world,
                keeps_objects=True,
            )
        finally:
            with suppress(*ModuleError):  # it was dead already
                session.close()

    def reopen(self) -> None:
        """Throw the session away and open another. Raises the module's error when it gives none."""
        old, self.session = self.session, self._open()
        self.reopened += 1
        try:
            old.close()
        except ModuleError:
            return  # it was dead already


def replaced(work: WorkSession, error: Exception, refusable: bool) -> bool:
    """Whether the session was thrown away for a new one. Runs in the lane's thread.

    Everything but a known, clean answer costs the session; not so a bad ciphertext, which leaves it usable, and not
    the session that owns loaded keys, whose end is a new generation.
    """
    verdict = judge(error)
    dead = verdict is Verdict.SESSION_DEAD
    unclean = not isinstance(error, ModuleError) or (verdict is Verdict.AMBIGUOUS and not refusable)
    if work.keeps_objects or not (dead or unclean):
        return False
    try:
        work.reopen()
    except ModuleError:
        return False  # the first error stands; the canary will tell
    return dead

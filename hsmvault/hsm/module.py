"""A loaded PKCS#11 module, initialised with OS locking.

Initialised *instead of* by python-pkcs11: its lib() would call C_Initialize(NULL) first, which promises a single
thread (SoftHSM then crashes under four) and which some modules refuse. The object is made with __new__, which only
loads the function list, and C_Initialize is called by ctypes. That leans on internals of python-pkcs11 0.10, so
assert_internals() looks for each of them before anything else happens.

One instance per process, never across a fork: workers are spawned and load it themselves.
"""

import asyncio
import os
import string
import struct
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pkcs11
from pkcs11 import Attribute, _pkcs11
from pkcs11 import exceptions as p11
from pkcs11.attributes import AttributeMapper

from hsmvault.errors import HsmRefusal
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.profile import Profile
from hsmvault.hsm.raw import (
    CKR_CANT_LOCK,
    CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    NestedTemplate,
    RawFunctions,
    ReturnCode,
)
from hsmvault.hsm.returncodes import ModuleError, Verdict, describe, judge
from hsmvault.hsm.turns import alone

_MIXINS = ("SignMixin", "VerifyMixin", "DecryptMixin", "EncryptMixin", "WrapMixin", "UnwrapMixin", "Object")


@dataclass(frozen=True, slots=True)
class TokenSelector:
    """Which token: by serial number (exact, as C_GetTokenInfo has it without trailing blanks) or by label."""

    label: str | None = None
    serial: str | None = None

    def matches(self, token: pkcs11.Token) -> bool:
        return (self.label is None or token.label == self.label) and (
            self.serial is None or token.serial.decode(errors="replace") == self.serial
        )

    def __str__(self) -> str:
        return f"with serial {self.serial}" if self.serial is not None else f"'{self.label}'"


class PinRefused(HsmRefusal):
    """The token refuses a PIN: never tried again."""


class Tenant(Protocol):
    """Whoever has sessions in the module, and must leave it before C_Finalize: SoftHSM crashes otherwise."""

    async def step_out(self) -> bool:
        """Stop intake and wait until no thread is inside the module; False when the deadline passed."""
        ...

    def step_in(self) -> None:
        """The module was initialised anew: open sessions again, by itself and in the background."""
        ...


class Module:
    """One module in this process. All methods block; none may run in the event loop's thread."""

    def __init__(self, path: str, profile: Profile, functions: RawFunctions, lock: Path | None = None) -> None:
        """lock: see alone()."""
        self.path = path
        self._lock = lock
        self.profile = profile
        self.raw = functions
        self.epoch = 0
        """Counts the initialisations: a handle or session of an earlier one may name another key now."""
        self.has_lost_thread = False
        """A call did not return in time, and nobody waits for it: C_Finalize could crash, and is never called again."""
        self.tenants: list[Tenant] = []
        self.turn = asyncio.Lock()
        """Held by the one tenant that opens or closes sessions or initialises the module anew."""
        self._library = _pkcs11.lib.__new__(_pkcs11.lib, path)  # type: ignore[call-arg]  # __cinit__ takes it

    def alone(self) -> AbstractContextManager[bool]:
        """While the module is initialised, a token looked for and logged in to, or its objects written, no other
        process of this node does so (turns.py). Not to be nested.
        """
        return alone(self._lock)

    def initialize(self) -> None:
        """C_Initialize with locking, alone. Raises HsmRefusal when it cannot lock, or the module's own error."""
        with self.alone():
            self._initialize()
        self.epoch += 1

    def _initialize(self) -> None:
        if self.profile.initialize == "library":
            self._library.initialize()
            return
        parameters = self.profile.initialize_parameters
        if parameters is not None:
            parameters = string.Template(parameters).substitute(os.environ)
        try:
            self.raw.initialize(parameters)
        except ReturnCode as error:
            if error.code == CKR_CANT_LOCK:
                raise HsmRefusal(
                    f"The PKCS#11 module {self.path} cannot lock; set single_thread in its profile and put "
                    "p11-kit-proxy in front of it."
                ) from error
            if error.code == CKR_CRYPTOKI_ALREADY_INITIALIZED:
                raise HsmRefusal(f"The PKCS#11 module {self.path} is in use in this process.") from error
            raise

    def finalize(self) -> None:
        """C_Finalize; every session and handle is dead afterwards. No thread may be inside the module."""
        if self.has_lost_thread:
            return
        if self.profile.initialize == "library":
            self._library.finalize()
            return
        try:
            self.raw.finalize()
        except ReturnCode as error:
            if error.code != CKR_CRYPTOKI_NOT_INITIALIZED:
                raise

    def reinitialize(self) -> None:
        self.finalize()
        self.initialize()

    def tokens(self) -> list[pkcs11.Token]:
        """Every initialised token that is present."""
        found = []
        for slot in self._library.get_slots():
            try:
                token = slot.get_token()
            except (p11.TokenNotPresent, p11.TokenNotRecognised):
                continue
            if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
                found.append(token)
        return found

    def free_slot(self) -> int:
        """A slot with a token that is not initialised. Raises HsmRefusal."""
        for slot in self._library.get_slots():
            try:
                if not slot.get_token().flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
                    return slot.slot_id
            except (p11.TokenNotPresent, p11.TokenNotRecognised):
                continue
        raise HsmRefusal(f"The PKCS#11 module {self.path} has no slot with an uninitialised token.")

    def find_token(self, selector: TokenSelector) -> pkcs11.Token:
        """The one token that the selector names. Raises p11.NoSuchToken; HsmRefusal when several match."""
        found = [token for token in self.tokens() if selector.matches(token)]
        if len(found) > 1:
            raise HsmRefusal(f"{len(found)} tokens match the token {selector}; name the one you mean by its serial.")
        if not found:
            raise p11.NoSuchToken(str(selector))
        return found[0]

    def open_session(self, token: pkcs11.Token) -> pkcs11.Session:
        """A read/write session that inherits the login of the process."""
        return token.open(rw=True, attribute_mapper=attribute_mapper())

    def login(self, token: pkcs11.Token, pin: Pin) -> pkcs11.Session:
        """Open the one session that logs in; closing it logs everybody out. Exactly one attempt.

        Raises PinRefused; nobody may try it again.
        """
        try:
            return token.open(rw=True, user_pin=pin.reveal(), attribute_mapper=attribute_mapper())
        except ModuleError as error:
            if judge(error) is not Verdict.PIN:
                raise
            raise PinRefused(
                f"The token '{token.label}' refuses the user PIN ({describe(error)}). It was tried once; correct it "
                "before you start again, because a token locks itself after a few wrong ones."
            ) from error


def load_module(path: str, profile: Profile, lock: Path | None = None) -> Module:
    """Load and initialise a module. lock: a file that the processes of this node share (turns.py).

    Raises HsmRefusal with one sentence that says what to do.
    """
    assert_internals()
    for name in profile.environment:
        if not os.environ.get(name):
            raise HsmRefusal(f"The PKCS#11 module {path} needs the environment variable {name}; set it.")
    try:
        module = Module(path, profile, RawFunctions.load(path), lock)
        module.initialize()
    except (OSError, AttributeError) as error:
        raise HsmRefusal(
            f"{path} cannot be loaded as a PKCS#11 module; check hsm.module and that its package is installed."
        ) from error
    except ModuleError as error:
        raise HsmRefusal(
            f"The PKCS#11 module {path} refuses to start ({describe(error)}); check its own configuration."
        ) from error
    return module


def assert_internals() -> None:
    """Refuse to start on a python-pkcs11 that lacks what this package leans on."""
    missing = [name for name in (*_MIXINS, "lib", "Session") if not hasattr(_pkcs11, name)]
    methods = ("initialize", "finalize", "get_slots")
    missing += [f"lib.{name}" for name in methods if not hasattr(getattr(_pkcs11, "lib", None), name)]
    operations = {"SignMixin": "_sign", "DecryptMixin": "_decrypt", "EncryptMixin": "_encrypt"}
    missing += [
        f"{mixin}.{name}" for mixin, name in operations.items() if name not in vars(getattr(_pkcs11, mixin, object))
    ]
    if missing:
        raise HsmRefusal(
            f"The installed python-pkcs11 lacks {', '.join(missing)}; install the version that hsmvault pins."
        )


def attribute_mapper() -> AttributeMapper:
    """python-pkcs11 packs neither nested templates nor lists of mechanisms."""
    mapper = AttributeMapper()
    mapper.register_handler(Attribute.UNWRAP_TEMPLATE, _pack_nested, bytes)
    mapper.register_handler(Attribute.ALLOWED_MECHANISMS, _pack_ulongs, _unpack_ulongs)
    mapper.register_handler(Attribute.KEY_GEN_MECHANISM, struct.Struct("L").pack, _unpack_ulong)
    return mapper


def _pack_nested(template: NestedTemplate) -> bytes:
    return template.pack()


def _pack_ulongs(values: Iterable[int]) -> bytes:
    numbers = sorted(values)
    return struct.pack(f"{len(numbers)}L", *numbers)


def _unpack_ulongs(packed: bytes) -> frozenset[int]:
    return frozenset(struct.unpack(f"{len(packed) // struct.calcsize('L')}L", packed))


def _unpack_ulong(packed: bytes) -> int:
    return int(struct.unpack("L", packed)[0])

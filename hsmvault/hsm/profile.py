"""What one PKCS#11 module can do and how it wants to be treated: conf/hsm/*.toml, because no two modules agree.

A key that is absent takes the value that is safe everywhere; an unknown key is refused by its name.
"""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from hsmvault.errors import ConfigurationError


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One module. Units are in the names; a limit of 0 means that the module states none."""

    name: str
    """For logs and doctor, with the version that the values were proved on."""

    environment: tuple[str, ...] = ()
    """Variables that the module reads when it is loaded; each must be set."""

    initialize: Literal["os-locking", "library"] = "os-locking"
    """os-locking: C_Initialize with CKF_OS_LOCKING_OK. library: C_Initialize(NULL) by python-pkcs11, only for modules
    that lock by themselves and give every caller of C_GetFunctionList an instance of its own (p11-kit's client)."""
    initialize_parameters: str | None = None
    """For C_Initialize's pReserved (NSS). ${NAME} is replaced from the environment."""
    single_thread: bool = False
    """One thread for everything: modules that answer CKR_CANT_LOCK or fail under threads."""
    work_sessions: int = 2
    """Threads that sign and decrypt, each with a session of its own."""
    work_queue: int = 512
    """Operations that may wait for one work thread; one more is answered with 429."""
    generation_queue: int = 16
    """RSA keys that may wait to be generated."""

    key_wrap_pad: Literal["rfc5649", "rfc5649-zero-padded", "none"] = "none"
    """What CKM_AES_KEY_WRAP_PAD (0x210A) means. zero-padded: input is padded with zeros to 8 bytes first."""
    oaep_hashes: tuple[Literal["SHA1", "SHA256"], ...] = ("SHA1",)
    """Hashes of CKM_RSA_PKCS_OAEP that the module does natively."""
    oaep256_fallback: Literal["raw", "refused"] = "refused"
    """RSA-OAEP-256 without the mechanism. raw: CKM_RSA_X_509 in the token, unpadding in the server."""
    curves: tuple[Literal["P-256", "P-384", "P-521", "P-256K"], ...] = ()
    unwrap_template: bool = False
    """CKA_UNWRAP_TEMPLATE is honoured; without it a world key cannot be locked."""
    trusted_keys: bool = False
    """CKA_TRUSTED and CKA_WRAP_WITH_TRUSTED are honoured."""
    allowed_mechanisms: bool = False
    """CKA_ALLOWED_MECHANISMS is honoured."""
    destroyable: bool = False
    """CKA_DESTROYABLE=0 is honoured."""
    handles_shared: bool = True
    """A handle found or made in one session is good in all sessions of the process. Modules of which that is not true
    are not served yet."""
    aes_gcm: bool = False
    """CKM_AES_GCM works through python-pkcs11; without it the token cannot hold a system key."""
    aes_modes: bool = False
    """CKM_AES_ECB, AES_CBC, AES_CBC_PAD and HMAC with SHA-2 work with keys that were unwrapped for that one use, and
    AES_CBC_PAD looks at its padding (openCryptoki 3.8 does not). Without it, or without aes_gcm: no oct keys."""
    brief_blocks: bool = False
    """One block of AES takes microseconds, because the module works inside this process: the interpreter's lock is kept
    meanwhile (blocks.py), and while an operation is prepared (single_part.py). Not for a module that goes through a
    network or a bus."""
    custody: tuple[Literal["wrapped", "resident"], ...] = ("resident",)
    """Classes of custody that are offered; wrapped needs a world key that can be locked."""

    pin_attempts: int = 0
    """For people, nothing reads it: wrong PINs until the token locks or wipes itself. hsmvault tries one."""
    object_capacity: int = 0
    """For people: token objects that the token holds with good speed."""
    session_capacity: int = 0
    """For people: sessions that it gives. A worker takes work_sessions and three, and one more while an import, an
    export or an attestation runs."""
    loaded_keys: int = 4096
    """Working copies of wrapped keys that a worker keeps as session objects (12 kB each on SoftHSM)."""
    replication: str = ""
    """For people: how a second token gets the same world key."""

    hang_seconds: float = 30.0
    """A call that takes longer hangs: the worker leaves and is replaced."""
    generation_hang_seconds: float = 180.0
    drain_seconds: float = 10.0
    """How long recovery waits for the threads to be out of the module."""
    retry_seconds: float = 2.0
    """First pause between attempts to bring a lost token back; doubled up to retry_longest_seconds."""
    retry_longest_seconds: float = 15.0

    @property
    def can_lock_world_key(self) -> bool:
        """A world key could be locked against the attacks of an intruder in the process."""
        return self.unwrap_template and self.trusted_keys and self.allowed_mechanisms and self.key_wrap_pad != "none"


def load_profile(path: Path) -> Profile:
    """Read one profile. Raises ConfigurationError, naming the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"The module profile {path} cannot be read ({error.strerror}); check hsm.profile."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"The module profile {path} is not TOML: {error}.") from error
    for key in document:
        if key not in Profile.__struct_fields__:
            raise ConfigurationError(
                f"Unknown key '{key}' in the module profile {path}, line {_line_of(key, text)}; remove it."
            )
    try:
        profile = msgspec.convert(document, Profile)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The module profile {path} is not valid: {error}.") from error
    if profile.work_sessions < 1:
        raise ConfigurationError(f"work_sessions in the module profile {path} must be at least 1.")
    if not profile.handles_shared:
        raise ConfigurationError(
            f"handles_shared = false in the module profile {path} is not supported yet; use a module whose handles are "
            "good in all sessions."
        )
    if "wrapped" in profile.custody and not profile.can_lock_world_key:
        raise ConfigurationError(
            f"The module profile {path} offers wrapped custody, which needs unwrap_template, trusted_keys, "
            "allowed_mechanisms and key_wrap_pad."
        )
    return profile


def _line_of(key: str, text: str) -> int:
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.lstrip().lstrip("[").startswith((key, f'"{key}"'))), 0)

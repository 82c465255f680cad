"""What a PKCS#11 return code means for us: one table, by code or class, never by text.

python-pkcs11 turns codes into exception classes, and those that it does not know into its bare base class. The
same case has different codes on different modules, and SoftHSM answers a bad ciphertext and a dying token alike
with CKR_GENERAL_ERROR: what is ambiguous is decided by a canary (recovery.py).
"""

from enum import Enum

from pkcs11 import exceptions as p11

from hsmvault.errors import HsmvaultError
from hsmvault.hsm import raw


class Verdict(Enum):
    CALLER = "the request is at fault"
    SESSION_DEAD = "this session is of no more use"
    LOGIN_LOST = "the login or a handle is gone: ask the canary"
    TOKEN_GONE = "the token is out of reach"  # noqa: S105  # a PKCS#11 token, no password
    PIN = "the PIN is refused; never try it again"
    CAPACITY = "the module has no room just now"
    AMBIGUOUS = "bad input or a broken token: ask the canary"
    FAULT = "we called it wrongly"


class StaleHandle(HsmvaultError):
    """A handle of an older generation, or one that the token no longer knows while it is well itself.

    Whoever keeps the key loads it again and tries once more.
    """


class WrongAttributes(HsmvaultError):
    """An object came back with other attributes than were asked for; it was destroyed."""


class ModuleMisused(HsmvaultError):
    """The module says that we called it wrongly (a mechanism or template that it does not serve): a bug or a wrong
    profile.
    """


_TABLE: dict[type[p11.PKCS11Error], Verdict] = {
    p11.DataInvalid: Verdict.CALLER,
    p11.DataLenRange: Verdict.CALLER,
    p11.EncryptedDataInvalid: Verdict.CALLER,
    p11.EncryptedDataLenRange: Verdict.CALLER,
    p11.SignatureInvalid: Verdict.CALLER,
    p11.SignatureLenRange: Verdict.CALLER,
    p11.WrappedKeyInvalid: Verdict.CALLER,
    p11.WrappedKeyLenRange: Verdict.CALLER,
    p11.SessionHandleInvalid: Verdict.SESSION_DEAD,
    p11.SessionClosed: Verdict.SESSION_DEAD,
    p11.OperationActive: Verdict.SESSION_DEAD,
    p11.OperationNotInitialized: Verdict.SESSION_DEAD,
    p11.UserNotLoggedIn: Verdict.LOGIN_LOST,
    p11.ObjectHandleInvalid: Verdict.LOGIN_LOST,
    p11.KeyHandleInvalid: Verdict.LOGIN_LOST,
    p11.WrappingKeyHandleInvalid: Verdict.LOGIN_LOST,
    p11.UnwrappingKeyHandleInvalid: Verdict.LOGIN_LOST,
    p11.DeviceRemoved: Verdict.TOKEN_GONE,
    p11.TokenNotPresent: Verdict.TOKEN_GONE,
    p11.TokenNotRecognised: Verdict.TOKEN_GONE,
    p11.SlotIDInvalid: Verdict.TOKEN_GONE,
    p11.NoSuchToken: Verdict.TOKEN_GONE,
    p11.PinIncorrect: Verdict.PIN,
    p11.PinInvalid: Verdict.PIN,
    p11.PinLenRange: Verdict.PIN,
    p11.PinLocked: Verdict.PIN,
    p11.PinExpired: Verdict.PIN,
    p11.PinTooWeak: Verdict.PIN,
    p11.UserPinNotInitialized: Verdict.PIN,
    p11.DeviceMemory: Verdict.CAPACITY,
    p11.HostMemory: Verdict.CAPACITY,
    p11.SessionCount: Verdict.CAPACITY,
    p11.GeneralError: Verdict.AMBIGUOUS,
    p11.FunctionFailed: Verdict.AMBIGUOUS,
    p11.FunctionCancelled: Verdict.AMBIGUOUS,
    p11.FunctionRejected: Verdict.AMBIGUOUS,
    p11.DeviceError: Verdict.AMBIGUOUS,
    p11.PKCS11Error: Verdict.AMBIGUOUS,  # codes that python-pkcs11 does not map
}

_RAW_CODES: dict[int, Verdict] = {
    0x05: Verdict.AMBIGUOUS,  # CKR_GENERAL_ERROR
    0x06: Verdict.AMBIGUOUS,  # CKR_FUNCTION_FAILED
    0x30: Verdict.AMBIGUOUS,  # CKR_DEVICE_ERROR
    0x03: Verdict.TOKEN_GONE,  # CKR_SLOT_ID_INVALID
    0x32: Verdict.TOKEN_GONE,  # CKR_DEVICE_REMOVED
    0xE0: Verdict.TOKEN_GONE,  # CKR_TOKEN_NOT_PRESENT
    0xE1: Verdict.TOKEN_GONE,  # CKR_TOKEN_NOT_RECOGNIZED
    0xA0: Verdict.PIN,  # CKR_PIN_INCORRECT
    0xA1: Verdict.PIN,  # CKR_PIN_INVALID
    0xA2: Verdict.PIN,  # CKR_PIN_LEN_RANGE
    0xA3: Verdict.PIN,  # CKR_PIN_EXPIRED
    0xA4: Verdict.PIN,  # CKR_PIN_LOCKED
    0x102: Verdict.PIN,  # CKR_USER_PIN_NOT_INITIALIZED
    0x31: Verdict.CAPACITY,  # CKR_DEVICE_MEMORY
    0x02: Verdict.CAPACITY,  # CKR_HOST_MEMORY
    0xB1: Verdict.CAPACITY,  # CKR_SESSION_COUNT
    0xB0: Verdict.SESSION_DEAD,  # CKR_SESSION_CLOSED
    0xB3: Verdict.SESSION_DEAD,  # CKR_SESSION_HANDLE_INVALID
    0x90: Verdict.SESSION_DEAD,  # CKR_OPERATION_ACTIVE
    0x91: Verdict.SESSION_DEAD,  # CKR_OPERATION_NOT_INITIALIZED
    0x60: Verdict.LOGIN_LOST,  # CKR_KEY_HANDLE_INVALID
    0x82: Verdict.LOGIN_LOST,  # CKR_OBJECT_HANDLE_INVALID
    0x101: Verdict.LOGIN_LOST,  # CKR_USER_NOT_LOGGED_IN
    0x150: Verdict.SESSION_DEAD,  # CKR_BUFFER_TOO_SMALL: ours are large enough, and the operation stays open
    0x20: Verdict.CALLER,  # CKR_DATA_INVALID
    0x21: Verdict.CALLER,  # CKR_DATA_LEN_RANGE
    0x40: Verdict.CALLER,  # CKR_ENCRYPTED_DATA_INVALID
    0x41: Verdict.CALLER,  # CKR_ENCRYPTED_DATA_LEN_RANGE
    0x07: Verdict.FAULT,  # CKR_ARGUMENTS_BAD
    0x54: Verdict.FAULT,  # CKR_FUNCTION_NOT_SUPPORTED
    0x62: Verdict.FAULT,  # CKR_KEY_SIZE_RANGE
    0x63: Verdict.FAULT,  # CKR_KEY_TYPE_INCONSISTENT
    0x68: Verdict.FAULT,  # CKR_KEY_FUNCTION_NOT_PERMITTED
    0x70: Verdict.FAULT,  # CKR_MECHANISM_INVALID
    0x71: Verdict.FAULT,  # CKR_MECHANISM_PARAM_INVALID
}

ModuleError = (p11.PKCS11Error, raw.ReturnCode)
"""Everything that a module's refusal can arrive as, for `except`."""


def judge(error: Exception) -> Verdict:
    """What a refusal of the module means. Anything that did not come from the module is our fault."""
    if isinstance(error, raw.ReturnCode):
        return _RAW_CODES.get(error.code, Verdict.AMBIGUOUS)
    if isinstance(error, p11.PKCS11Error):
        return _TABLE.get(type(error), Verdict.FAULT)
    return Verdict.FAULT


def describe(error: Exception) -> str:
    """For the operator's log: class or code, never data."""
    return str(error) if isinstance(error, raw.ReturnCode) else type(error).__name__

"""The few PKCS#11 functions that python-pkcs11 lacks or calls in a way we cannot use, by ctypes.

Why: python-pkcs11 calls C_Initialize(NULL), which promises a single thread; SoftHSM then runs without mutexes and
four threads crash it. It also has no login apart from opening a session, no C_InitToken, and cannot read a nested
template. Functions are taken from C_GetFunctionList, because some modules export no other symbol.

Source: PKCS#11 2.40, 5.4 to 5.9 (function list, general purpose, slot, session and object functions).
"""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CKF_OS_LOCKING_OK = 2
CKF_RW_SERIAL = 6  # CKF_RW_SESSION | CKF_SERIAL_SESSION
CKU_SO = 0
CKU_USER = 1

CKR_OK = 0x00
CKR_CANT_LOCK = 0x0A
CKR_ATTRIBUTE_SENSITIVE = 0x11
CKR_ATTRIBUTE_TYPE_INVALID = 0x12
CKR_CRYPTOKI_NOT_INITIALIZED = 0x190
CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191

_ULONG = ctypes.c_ulong
UNAVAILABLE = _ULONG(-1).value  # CK_UNAVAILABLE_INFORMATION

# Positions in CK_FUNCTION_LIST: after the version come pointers in the order of the standard.
_INDEX = {
    "C_Initialize": 0,
    "C_Finalize": 1,
    "C_InitToken": 9,
    "C_InitPIN": 10,
    "C_OpenSession": 12,
    "C_CloseSession": 13,
    "C_Login": 18,
    "C_Logout": 19,
    "C_GetAttributeValue": 24,
}


class CkMechanism(ctypes.Structure):
    """CK_MECHANISM. parameter: an address, whose owner must live as long as the call."""

    _fields_ = (("mechanism", _ULONG), ("parameter", ctypes.c_void_p), ("length", _ULONG))


class _Attribute(ctypes.Structure):
    _fields_ = (("type", _ULONG), ("value", ctypes.c_void_p), ("length", _ULONG))


class _InitializeArgs(ctypes.Structure):
    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", _ULONG),
        ("reserved", ctypes.c_char_p),  # pReserved; NSS reads its LibraryParameters here
    )


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


class ReturnCode(Exception):
    """A function called here answered something other than CKR_OK."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function} answered 0x{code:x}")
        self.code = code


class NestedTemplate:
    """An attribute whose value is a template (CKA_UNWRAP_TEMPLATE): the packed form holds pointers into this object,
    which therefore must live until the call that uses it has returned.
    """

    def __init__(self, flags: Mapping[int, bool]) -> None:
        self.flags = dict(flags)
        self._values = [ctypes.create_string_buffer(bytes([value]), 1) for value in self.flags.values()]
        self._array = (_Attribute * len(self.flags))(
            *(
                _Attribute(kind, ctypes.addressof(buffer), 1)
                for kind, buffer in zip(self.flags, self._values, strict=True)
            )
        )

    def pack(self) -> bytes:
        return bytes(self._array)


@dataclass(frozen=True, slots=True)
class RawFunctions:
    """One instance of a module. Every method but finalize blocks without the GIL, as long as the module does."""

    library: ctypes.CDLL  # keeps the module mapped: ctypes never unloads
    table: _FunctionList

    @staticmethod
    def load(path: str) -> "RawFunctions":
        """Raises OSError or AttributeError when this is no PKCS#11 module, ReturnCode when it refuses."""
        library = ctypes.CDLL(path)
        pointer = ctypes.POINTER(_FunctionList)()
        get = library.C_GetFunctionList
        get.restype = _ULONG
        code = get(ctypes.byref(pointer))
        if code != CKR_OK:
            raise ReturnCode("C_GetFunctionList", code)
        return RawFunctions(library, pointer.contents)

    def initialize(self, parameters: str | None) -> None:
        """C_Initialize with CKF_OS_LOCKING_OK. parameters: what the module expects in pReserved."""
        reserved = parameters.encode() if parameters is not None else None
        arguments = _InitializeArgs(flags=CKF_OS_LOCKING_OK, reserved=reserved)
        self._call("C_Initialize", ctypes.byref(arguments))

    def finalize(self) -> None:
        """C_Finalize. No thread may be inside the module: SoftHSM crashes then."""
        self._call("C_Finalize", None)

    def init_token(self, slot: int, so_pin: bytes, label: str) -> None:
        """label: at most 32 bytes; it is padded with blanks."""
        padded = label.encode().ljust(32)
        self._call("C_InitToken", _ULONG(slot), so_pin, _ULONG(len(so_pin)), padded)

    def init_pin(self, session: int, pin: bytes) -> None:
        self._call("C_InitPIN", _ULONG(session), pin, _ULONG(len(pin)))

    def login(self, session: int, user: int, pin: bytes) -> None:
        self._call("C_Login", _ULONG(session), _ULONG(user), pin, _ULONG(len(pin)))

    def logout(self, session: int) -> None:
        self._call("C_Logout", _ULONG(session))

    def open_session(self, slot: int) -> int:
        """A read/write session."""
        session = _ULONG()
        self._call("C_OpenSession", _ULONG(slot), _ULONG(CKF_RW_SERIAL), None, None, ctypes.byref(session))
        return session.value

    def close_session(self, session: int) -> None:
        self._call("C_CloseSession", _ULONG(session))

    def read_attribute(self, session: int, handle: int, attribute: int) -> bytes | None:
        """An attribute of an object that was found in another session of this process; None when the module does not
        know it or does not tell it. At most 4096 bytes.
        """
        one = _Attribute(attribute, None, 0)
        try:
            self._call("C_GetAttributeValue", _ULONG(session), _ULONG(handle), ctypes.byref(one), _ULONG(1))
        except ReturnCode as error:
            if error.code in (CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID):
                return None
            raise
        if one.length == UNAVAILABLE:
            return None
        buffer = ctypes.create_string_buffer(min(one.length, 4096))
        one.value, one.length = ctypes.addressof(buffer), len(buffer)
        self._call("C_GetAttributeValue", _ULONG(session), _ULONG(handle), ctypes.byref(one), _ULONG(1))
        return buffer.raw[: one.length]

    def read_nested(self, session: int, handle: int, attribute: int, kinds: Sequence[int]) -> dict[int, bool]:
        """The flags inside a nested template of an object: those of `kinds` that it has.

        python-pkcs11 hands the module uninitialised memory for the inner attributes, so this is done here.
        """
        outer = _Attribute(attribute, None, 0)
        self._call("C_GetAttributeValue", _ULONG(session), _ULONG(handle), ctypes.byref(outer), _ULONG(1))
        count = outer.length // ctypes.sizeof(_Attribute)
        if outer.length == UNAVAILABLE or count == 0:
            return {}
        inner = (_Attribute * count)()
        outer.value = ctypes.addressof(inner)
        self._call("C_GetAttributeValue", _ULONG(session), _ULONG(handle), ctypes.byref(outer), _ULONG(1))
        values = [ctypes.create_string_buffer(min(entry.length, 4096)) for entry in inner]  # types are known now
        for entry, buffer in zip(inner, values, strict=True):
            entry.value, entry.length = ctypes.addressof(buffer), len(buffer)
        self._call("C_GetAttributeValue", _ULONG(session), _ULONG(handle), ctypes.byref(outer), _ULONG(1))
        return {
            entry.type: buffer.raw[0] == 1
            for entry, buffer in zip(inner, values, strict=True)
            if entry.type in kinds and entry.length == 1
        }

    def _call(self, name: str, *arguments: object) -> None:
        prototype = ctypes.CFUNCTYPE(_ULONG)
        address = self.table.functions[_INDEX[name]]
        if not address:
            raise ReturnCode(name, 0x54)  # CKR_FUNCTION_NOT_SUPPORTED
        function = prototype(address)
        code = int(function(*arguments))
        if code != CKR_OK:
            raise ReturnCode(name, code)

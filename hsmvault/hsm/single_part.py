"""Operations of one part with a key: C_SignInit and C_Sign, and the same for encrypting and decrypting.

By ctypes, because python-pkcs11 makes three calls of each (it asks for the length of the result first) and lets go of
the interpreter's lock at every one. To get it back beside a busy event loop is to wait for the loop's next system call
and for a switch of threads, which costs more than an AES operation. The result's length is bounded here instead.

Profile, brief_blocks: the call that only prepares keeps the lock, where it takes microseconds inside this process; the
one that does the work never does. For a token object both let go of it: SoftHSM looks at its file first, and waits for
whoever writes it.

Sources: PKCS#11 2.40, 5.8, 5.9 and 5.11; parameters: PKCS#11 Current Mechanisms 2.40, 2.1.7 (PSS), 2.1.8 (OAEP),
2.11.3 (GCM).
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

from pkcs11 import Mechanism
from pkcs11.mechanisms import GCMParams

from hsmvault.hsm.raw import CKR_OK, CkMechanism, RawFunctions, ReturnCode

_ULONG = ctypes.c_ulong
_POINTER = ctypes.c_void_p
_INIT_ARGUMENTS = (_ULONG, _ULONG, _POINTER, _ULONG)
_INIT = ctypes.CFUNCTYPE(*_INIT_ARGUMENTS)
_INIT_KEEPING_THE_LOCK = ctypes.PYFUNCTYPE(*_INIT_ARGUMENTS)
_RUN = ctypes.CFUNCTYPE(_ULONG, _ULONG, ctypes.c_char_p, _ULONG, _POINTER, _POINTER)

_MORE_BYTES = 1024
"""What a result may be longer than its input: a signature of RSA-4096 has 512, padding and tag 16 each."""
_CKZ_DATA_SPECIFIED = 1
_CKR_FUNCTION_NOT_SUPPORTED = 0x54

_Function = Callable[..., int]


class _Gcm(ctypes.Structure):
    _fields_ = (
        ("iv", ctypes.c_char_p),
        ("iv_bytes", _ULONG),
        ("iv_bits", _ULONG),
        ("aad", ctypes.c_char_p),
        ("aad_bytes", _ULONG),
        ("tag_bits", _ULONG),
    )


class _Oaep(ctypes.Structure):
    _fields_ = (
        ("hash", _ULONG),
        ("mgf", _ULONG),
        ("source", _ULONG),
        ("label", ctypes.c_char_p),
        ("label_bytes", _ULONG),
    )


class _Pss(ctypes.Structure):
    _fields_ = (("hash", _ULONG), ("mgf", _ULONG), ("salt_bytes", _ULONG))


@dataclass(frozen=True, slots=True)
class _Pair:
    """One kind of operation: the function that prepares it, and the one that does it and ends it."""

    name: str
    init: _Function
    run: _Function

    def __call__(self, session: int, key: int, data: bytes, mechanism: Mechanism, parameter: object) -> bytes:
        if type(data) is not bytes:
            raise TypeError("data must be bytes")  # before anything is begun that would stay open
        given = _structure(mechanism, parameter)
        address, size = (None, 0) if given is None else (ctypes.addressof(given), ctypes.sizeof(given))
        prepared = CkMechanism(mechanism, address, size)
        room = len(data) + _MORE_BYTES
        out, length = ctypes.create_string_buffer(room), _ULONG(room)
        to_out = ctypes.addressof(out)
        code = self.init(session, ctypes.addressof(prepared), key)
        if code != CKR_OK:
            raise ReturnCode(f"C_{self.name}Init", code)
        code = self.run(session, data, len(data), to_out, ctypes.addressof(length))
        if code != CKR_OK:
            raise ReturnCode(f"C_{self.name}", code)
        result = ctypes.string_at(to_out, length.value)
        ctypes.memset(to_out, 0, length.value)
        return result


class SinglePart:
    """The functions of one module. keep: the interpreter's lock is kept while an operation is prepared."""

    __slots__ = ("decrypt", "encrypt", "sign")

    def __init__(self, raw: RawFunctions, *, keep: bool) -> None:
        self.encrypt = _pair(raw, "Encrypt", 29, keep)
        self.decrypt = _pair(raw, "Decrypt", 33, keep)
        self.sign = _pair(raw, "Sign", 42, keep)


class SinglePartKey:
    """A key in a session, for operations of one part. Raises ReturnCode; data is bytes, and nothing else."""

    __slots__ = ("_functions", "_key", "_session")

    def __init__(self, functions: SinglePart, session: int, key: int) -> None:
        self._functions = functions
        self._session = session
        self._key = key

    def sign(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes:
        return self._functions.sign(self._session, self._key, data, mechanism, mechanism_param)

    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes:
        return self._functions.encrypt(self._session, self._key, data, mechanism, mechanism_param)

    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: object = None) -> bytes:
        return self._functions.decrypt(self._session, self._key, data, mechanism, mechanism_param)


def _pair(raw: RawFunctions, name: str, position: int, keep: bool) -> _Pair:
    """position: of C_…Init in CK_FUNCTION_LIST; the function for one part follows it."""
    init, run = raw.table.functions[position], raw.table.functions[position + 1]
    if not init or not run:
        return _Pair(name, _missing, _missing)
    return _Pair(name, (_INIT_KEEPING_THE_LOCK if keep else _INIT)(init), _RUN(run))


def _missing(*_: object) -> int:
    return _CKR_FUNCTION_NOT_SUPPORTED


def _structure(mechanism: Mechanism, parameter: object) -> ctypes.Structure | ctypes.Array[ctypes.c_char] | None:
    """What a mechanism takes, in the form in which python-pkcs11 takes it: nothing, bytes (an IV), GCMParams, or three
    values for OAEP (hash, mask, label) and PSS (hash, mask, bytes of salt). It must live until the call has returned.
    """
    if parameter is None:
        return None
    if isinstance(parameter, bytes):
        return ctypes.create_string_buffer(parameter, len(parameter))
    if isinstance(parameter, GCMParams):
        iv, aad = parameter.nonce, parameter.aad or b""
        return _Gcm(iv, len(iv), 8 * len(iv), aad, len(aad), parameter.tag_bits)
    if isinstance(parameter, tuple) and mechanism is Mechanism.RSA_PKCS_OAEP:
        function, mask, label = parameter
        return _Oaep(function, mask, _CKZ_DATA_SPECIFIED, label, len(label or b""))
    if isinstance(parameter, tuple) and mechanism is Mechanism.RSA_PKCS_PSS:
        return _Pss(*parameter)
    raise TypeError(f"no parameter of {mechanism.name}")

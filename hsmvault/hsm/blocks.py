"""AES block by block inside the token: one C_EncryptInit (or C_DecryptInit) with CKM_AES_ECB, then one update a block.

By ctypes, because python-pkcs11 makes three calls and a dozen objects of each block (9 µs against 1.5 on SoftHSM).

Profile, brief_blocks: every call of ctypes lets go of the interpreter's lock and has to get it back, which takes up to
5 ms while the event loop is busy (sys.getswitchinterval). For key wrap, which is thousands of blocks, the lock is kept
over a block where the module answers within microseconds; the interpreter still takes turns *between* blocks.
Measured with a busy loop beside it, 4,096 bytes: 2 s against 60 ms.

Source: PKCS#11 2.40, 5.8 and 5.9 (multiple-part encryption and decryption).
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pkcs11 import Mechanism

from hsmvault.hsm.key_wrap import Block
from hsmvault.hsm.raw import CKR_OK, CkMechanism, ReturnCode
from hsmvault.hsm.returncodes import ModuleError, ModuleMisused, StaleHandle
from hsmvault.hsm.work import KeyObject, WorkSession

BLOCK_BYTES = 16

_ULONG = ctypes.c_ulong
_POINTER = ctypes.c_void_p
_INIT = ctypes.CFUNCTYPE(_ULONG, _ULONG, _POINTER, _ULONG)
_FINAL = ctypes.CFUNCTYPE(_ULONG, _ULONG, _POINTER, _POINTER)
_UPDATE_ARGUMENTS = (_ULONG, _ULONG, ctypes.c_char_p, _ULONG, _POINTER, _POINTER)
_UPDATE = ctypes.CFUNCTYPE(*_UPDATE_ARGUMENTS)
_UPDATE_KEEPING_THE_LOCK = ctypes.PYFUNCTYPE(*_UPDATE_ARGUMENTS)

# Positions in CK_FUNCTION_LIST; C_Encrypt, C_EncryptUpdate and C_EncryptFinal follow C_EncryptInit, so for decrypting.
_ENCRYPT_INIT = 29
_DECRYPT_INIT = 33
_TO_UPDATE = 2
_TO_FINAL = 3
_CKR_OPERATION_NOT_INITIALIZED = 0x91


@contextmanager
def encrypting_blocks(work: WorkSession, key: KeyObject) -> Iterator[Block]:
    """Blocks of 16 bytes to be encrypted. The session does nothing else meanwhile, and is free again afterwards.

    Raises StaleHandle before anything reaches the module, ModuleMisused, or ReturnCode.
    """
    with _blocks(work, key, _ENCRYPT_INIT) as block:
        yield block


@contextmanager
def decrypting_blocks(work: WorkSession, key: KeyObject) -> Iterator[Block]:
    """The reverse."""
    with _blocks(work, key, _DECRYPT_INIT) as block:
        yield block


@contextmanager
def _blocks(work: WorkSession, key: KeyObject, first: int) -> Iterator[Block]:
    if key.generation != work.generation:
        raise StaleHandle
    functions = work.raw.table.functions
    session = work.session_handle
    mechanism = CkMechanism(int(Mechanism.AES_ECB), None, 0)
    code = int(_INIT(functions[first])(session, ctypes.addressof(mechanism), key.handle))
    if code != CKR_OK:
        raise ReturnCode("C_EncryptInit" if first == _ENCRYPT_INIT else "C_DecryptInit", code)

    out, length = ctypes.create_string_buffer(BLOCK_BYTES), _ULONG()
    to_out, to_length = ctypes.addressof(out), ctypes.addressof(length)
    make = _UPDATE_KEEPING_THE_LOCK if work.profile.brief_blocks else _UPDATE
    update = make(functions[first + _TO_UPDATE])

    def block(given: bytes) -> bytes:
        length.value = BLOCK_BYTES
        code = update(session, given, BLOCK_BYTES, to_out, to_length)
        if code != CKR_OK:
            raise ReturnCode("C_EncryptUpdate or C_DecryptUpdate", code)
        if length.value != BLOCK_BYTES:
            raise ModuleMisused("the module holds a block of AES-ECB back")
        return out.raw

    try:
        yield block
    finally:
        # An operation that is left open poisons the session for good. After an error of the module it is over already.
        length.value = BLOCK_BYTES
        code = int(_FINAL(functions[first + _TO_FINAL])(session, to_out, to_length))
        ctypes.memset(out, 0, BLOCK_BYTES)
        if code not in (CKR_OK, _CKR_OPERATION_NOT_INITIALIZED) and not work.keeps_objects:
            with suppress(*ModuleError):
                work.reopen()

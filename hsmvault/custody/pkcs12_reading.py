"""PKCS#12 (RFC 7292) on its way in: what somebody imports as a certificate, in bounded time.

Why by hand, and not by the `cryptography` library: it looks at no iteration count, holds the interpreter's lock while
it derives (seconds for ten million iterations), and a reader that only checked the counts for it would have to see in
every hostile file exactly what it sees. Here every derivation is paid for from one purse before it begins.

What is read is what programs wrote in the last decades: 3DES and RC2 with SHA-1 (Windows before 2019, OpenSSL 1, Java
8), PBES2 with AES (OpenSSL 3, Java 17, Windows since 2019, NSS), MACs by the derivation of PKCS#12 and by PBMAC1 (RFC
9579). Files that are sealed with public keys are not, nor are CRLs and secrets, which are skipped.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from hsmvault.custody import der, rc2
from hsmvault.custody import pkcs12_keys as names
from hsmvault.custody.bundles import MOST_CERTIFICATES, Bundle, bundle_of
from hsmvault.custody.der import BerError, Element
from hsmvault.custody.pkcs12_keys import FOR_IV, FOR_KEY, FOR_MAC, Password
from hsmvault.errors import BadRequest

Value = TypeVar("Value")

UNREADABLE = (
    "The specified PKCS#12 X.509 certificate content can not be read. Please check if certificate is in valid PKCS#12 "
    "format."
)
LONGEST_CONTENT_BYTES = 256 * 1024  # a key and twenty certificates of the largest sizes in use are a fifth of that
LONGEST_PASSWORD = 1024  # characters
# Firefox and NSS derive with 600,000, the most that is in use; OWASP's advice for PBKDF2 is as much.
MOST_ITERATIONS = 1_000_000
# Hashes that one file may cost: what NSS writes costs 3,000,000 (a MAC, and two keys of 32 bytes by SHA-1). At 0.2 to
# 0.4 µs each that is at most 1.5 s, in which other threads run.
_MOST_HASHES = 4_000_000
_HASHES_FOR_AN_RC2_BLOCK = 100
_MOST_ELEMENTS = 4096  # a bag with its attributes has about 25
_MOST_NESTING = 4  # of bags in bags, which hardly anybody writes


def read_pkcs12(content: bytes, password: str) -> Bundle:
    """content: the file, DER or BER. password: an empty one tries no password, too: programs differ in which of the two
    they write.

    CPU work of up to 1.5 s, some milliseconds for most files: call it in a lane. Raises BadRequest, with one text for a
    wrong password and for content that cannot be read; its detail has the reason, and nothing of the content.
    """
    if len(content) > LONGEST_CONTENT_BYTES or len(password) > LONGEST_PASSWORD:
        raise _unreadable("too long")
    purse = _Purse()
    refusal = _unreadable("no password fits")
    for candidate in _candidates(password):
        try:
            return _File(content, candidate, purse).bundle()
        except BerError as error:
            refusal = _unreadable(str(error))
    raise refusal


def _candidates(password: str) -> tuple[Password, ...]:
    if not password:
        return names.EMPTY_PASSWORD, names.NO_PASSWORD
    try:
        return (names.password_of(password),)
    except UnicodeEncodeError as error:
        raise _unreadable("the password has lone surrogates") from error


def _unreadable(reason: str) -> BadRequest:
    return BadRequest(UNREADABLE, detail=f"PKCS#12: {reason}")


@dataclass(slots=True)
class _Purse:
    """What one file may cost, with all passwords that are tried. Raises BerError when it is empty."""

    elements: der.Budget = field(default_factory=lambda: der.Budget(_MOST_ELEMENTS))
    hashes: int = _MOST_HASHES

    def pay(self, hashes: int) -> None:
        if hashes > self.hashes:
            raise BerError("it costs too many hashes")
        self.hashes -= hashes

    def pay_derivation(self, hash_name: str, iterations: int, length: int) -> None:
        """For `length` bytes of a key, before it is derived."""
        if not 0 < iterations <= MOST_ITERATIONS:
            raise BerError("the number of iterations is out of range")
        self.pay(iterations * names.derived_blocks(hash_name, length))


class _File:
    """One attempt with one password. Every method raises BerError when the file is not what it should be."""

    def __init__(self, content: bytes, password: Password, purse: _Purse) -> None:
        self._content = content
        self._password = password
        self._purse = purse
        self._keys: list[bytes] = []
        self._certificates: list[bytes] = []

    def bundle(self) -> Bundle:
        """PFX (RFC 7292, 4)."""
        pfx = list(self._read(self._content).inside(der.SEQUENCE))
        if len(pfx) not in (2, 3) or pfx[0].number() != 3:
            raise BerError("not a PFX of version 3")
        safe = _content_of(pfx[1], names.DATA).octets()
        if len(pfx) == 3:
            self._check_mac(pfx[2], safe)
        for part in self._read(safe).inside(der.SEQUENCE):
            self._take_bags(self._read(self._contents(part)), 0)
        if not self._certificates:
            raise BerError("it holds no certificate")
        try:
            return bundle_of(self._keys[0] if self._keys else None, self._certificates)
        except BadRequest as error:
            raise BerError(error.message) from error

    def _read(self, encoded: bytes) -> Element:
        return der.read(encoded, self._purse.elements)

    def _contents(self, part: Element) -> bytes:
        """SafeContents in DER or BER, decrypted."""
        kind = _fields(part, 2)[0].oid()
        if kind == names.DATA:
            return _content_of(part, names.DATA).octets()
        encrypted = _fields(_content_of(part, names.ENCRYPTED_DATA), 2)
        inner = _fields(encrypted[1], 3)
        if inner[0].oid() != names.DATA:
            raise BerError("encrypted, but no data")
        return self._decrypted(inner[1], inner[2].octets(der.CONTEXT))

    def _take_bags(self, contents: Element, nesting: int) -> None:
        if nesting > _MOST_NESTING:
            raise BerError("bags in bags in bags")
        for bag in contents.inside(der.SEQUENCE):
            kind, value = _fields(bag, 2)[:2]
            name, content = kind.oid(), value.only(der.CONTEXT | der.CONSTRUCTED)
            if name == names.CERTIFICATE_BAG:
                self._take_certificate(content)
            elif name == names.KEY_BAG:
                self._take_key(content.expect(der.SEQUENCE).encoded)
            elif name == names.SHROUDED_KEY_BAG:
                algorithm, ciphertext = _fields(content, 2)[:2]
                self._take_key(self._decrypted(algorithm, ciphertext.octets()))
            elif name == names.NESTED_BAG:
                self._take_bags(content, nesting + 1)

    def _take_certificate(self, content: Element) -> None:
        kind, value = _fields(content, 2)[:2]
        if kind.oid() != names.X509_CERTIFICATE:
            raise BerError("a certificate that is not X.509")
        if len(self._certificates) == MOST_CERTIFICATES:
            raise BerError("too many certificates")
        self._certificates.append(value.only(der.CONTEXT | der.CONSTRUCTED).octets())

    def _take_key(self, pkcs8: bytes) -> None:
        if self._keys:
            raise BerError("more than one private key")
        self._keys.append(pkcs8)

    # -- passwords ----------------------------------------------------------------------------------------------------

    def _check_mac(self, mac_data: Element, safe: bytes) -> None:
        """MacData (RFC 7292, 4): with the derivation of PKCS#12, or PBMAC1 (RFC 9579), which has its salt and
        iterations in the algorithm.
        """
        fields = _fields(mac_data, 2)
        algorithm, stated = _fields(fields[0], 2)[:2]
        name = _fields(algorithm, 1)[0].oid()
        if name == names.PBMAC1:
            derivation, scheme = _fields(_fields(algorithm, 2)[1], 2)[:2]
            hash_name = _named(names.HMACS, _fields(scheme, 1)[0])
            key = self._pbkdf2(derivation, None)
        else:
            hash_name = _named(names.HASHES, _fields(algorithm, 1)[0])
            iterations = fields[2].number() if len(fields) > 2 else 1
            length = hashlib.new(hash_name, usedforsecurity=False).digest_size
            key = self._derived(hash_name, FOR_MAC, fields[1].octets(), iterations, length)
        if not hmac.compare_digest(names.mac(key, hash_name, safe), stated.octets()):
            raise BerError("the MAC does not fit: wrong password, or changed")

    def _decrypted(self, algorithm: Element, ciphertext: bytes) -> bytes:
        """algorithm: AlgorithmIdentifier with what the key is derived by."""
        name, parameters = _fields(algorithm, 2)[:2]
        if name.oid() == names.PBES2:
            derivation, scheme = _fields(parameters, 2)[:2]
            cipher, iv = _fields(scheme, 2)[:2]
            length = _named(_PBES2_KEY_BYTES, cipher)
            key = self._pbkdf2(derivation, length)
            made = TripleDES if cipher.oid() == names.DES_EDE3_CBC else AES
            return _unpadded(_with(made), key, iv.octets(), ciphertext)
        length, decrypt = _named(_PBES1, name)
        salt, count = _fields(parameters, 2)[:2]
        key = self._derived("sha1", FOR_KEY, salt.octets(), count.number(), length)
        iv_bytes = self._derived("sha1", FOR_IV, salt.octets(), count.number(), 8)
        if decrypt is rc2.decrypt_cbc:
            self._purse.pay(len(ciphertext) // rc2.BLOCK_BYTES * _HASHES_FOR_AN_RC2_BLOCK)
        return _unpadded(decrypt, key, iv_bytes, ciphertext)

    def _derived(self, hash_name: str, purpose: int, salt: bytes, iterations: int, length: int) -> bytes:
        self._purse.pay_derivation(hash_name, iterations, length)
        return names.derived(self._password, hash_name, purpose, salt, iterations, length)

    def _pbkdf2(self, derivation: Element, length: int | None) -> bytes:
        """length: what the cipher needs, which a stated one must not contradict; None: it must be stated."""
        name, parameters = _fields(derivation, 2)[:2]
        if name.oid() != names.PBKDF2:
            raise BerError("another derivation than PBKDF2")
        salt, iterations, *others = _fields(parameters, 2)
        stated, hash_name = length, "sha1"
        for each in others:
            if each.tag == der.INTEGER:
                stated = each.number()
            else:
                hash_name = _named(names.HMACS, _fields(each, 1)[0])
        if stated is None or not 16 <= stated <= 64 or length not in (None, stated):
            raise BerError("a key of another length")
        self._purse.pay_derivation(hash_name, iterations.number(), stated)
        return hashlib.pbkdf2_hmac(hash_name, self._password.utf8, salt.octets(), iterations.number(), stated)


Decrypt = Callable[[bytes, bytes, bytes], bytes]  # key, IV, ciphertext to padded plaintext


def _with(algorithm: type[AES] | type[TripleDES]) -> Decrypt:
    def decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
        decryptor = Cipher(algorithm(key), CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()

    return decrypt


_PBES2_KEY_BYTES = {
    names.AES_128_CBC: 16,
    names.AES_192_CBC: 24,
    names.AES_256_CBC: 32,
    names.DES_EDE3_CBC: 24,
}
_TRIPLE_DES = _with(TripleDES)
_PBES1: dict[bytes, tuple[int, Decrypt]] = {
    names.PBE_SHA1_3DES: (24, _TRIPLE_DES),
    names.PBE_SHA1_3DES_TWO_KEYS: (16, lambda key, iv, ciphertext: _TRIPLE_DES(key + key[:8], iv, ciphertext)),
    names.PBE_SHA1_RC2_128: (16, rc2.decrypt_cbc),
    names.PBE_SHA1_RC2_40: (5, rc2.decrypt_cbc),
}


def _unpadded(decrypt: Decrypt, key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Whose padding is wrong was decrypted with a wrong key: nobody learns more than that the file cannot be read."""
    block_bytes = len(iv)
    if block_bytes not in (8, 16) or not ciphertext or len(ciphertext) % block_bytes:
        raise BerError("an IV or a ciphertext of another length")
    unpadder = PKCS7(8 * block_bytes).unpadder()
    try:
        return unpadder.update(decrypt(key, iv, ciphertext)) + unpadder.finalize()
    except ValueError as error:
        raise BerError("the padding is wrong") from error


def _fields(element: Element, least: int) -> tuple[Element, ...]:
    """Of a SEQUENCE with at least so many."""
    if len(element.expect(der.SEQUENCE).elements) < least:
        raise BerError("a field is missing")
    return element.elements


def _content_of(info: Element, kind: bytes) -> Element:
    """The content of a ContentInfo of this kind (RFC 5652, 3)."""
    name, content = _fields(info, 2)[:2]
    if name.oid() != kind:
        raise BerError("content of another kind")
    return content.only(der.CONTEXT | der.CONSTRUCTED)


def _named(table: Mapping[bytes, Value], name: Element) -> Value:
    """What an algorithm stands for here."""
    try:
        return table[name.oid()]
    except KeyError as error:
        raise BerError("an algorithm that is not read") from error

"""PKCS#12 (RFC 7292) on its way out: what the secret of a certificate holds.

The password is empty, as in the files of the service, so the encryption hides nothing; it is there because readers want
it. `cryptography` does not write such files. The key comes last, in a bag of its own, tied to its certificate by the
attribute localKeyId.
"""

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from hsmvault.clock import Identifiers
from hsmvault.custody import der
from hsmvault.custody import pkcs12_keys as names
from hsmvault.custody.pkcs12_keys import EMPTY_PASSWORD, FOR_IV, FOR_KEY, FOR_MAC

_ITERATIONS = 2048  # as OpenSSL writes; the password is known, so more would only cost every reader's time
_SALT_BYTES = 16
_LEGACY_SALT_BYTES = 8


def write_pkcs12(
    key_pkcs8: bytes | None,
    chain: Sequence[bytes],
    *,
    leaf: int = 0,
    legacy: bool = False,
    identifiers: Identifiers,
) -> bytes:
    """A PFX in DER, under the empty password; about 2 ms of CPU.

    key_pkcs8: PrivateKeyInfo in DER; None: certificates alone. chain: certificates in DER, at least one, written in
    this order. leaf: the index of the key's certificate. legacy: 3DES and SHA-1, for Windows before Server 2019,
    instead of AES-256, PBKDF2 and SHA-256.
    """
    envelope = _legacy if legacy else _modern
    key_id = hashlib.sha1(chain[leaf], usedforsecurity=False).digest()
    attributes = _local_key_id(key_id) if key_pkcs8 is not None else b""
    bags = [_certificate_bag(each, attributes if at == leaf else b"") for at, each in enumerate(chain)]
    algorithm, ciphertext = envelope(der.sequence(*bags), identifiers)
    parts = [_encrypted_data(algorithm, ciphertext)]
    if key_pkcs8 is not None:
        algorithm, ciphertext = envelope(key_pkcs8, identifiers)
        shrouded = der.sequence(algorithm, der.octet_string(ciphertext))
        parts.append(_data(der.sequence(_bag(names.SHROUDED_KEY_BAG, shrouded, attributes))))
    safe = der.sequence(*parts)
    return der.sequence(der.integer(3), _data(safe), _mac_data(safe, identifiers, legacy=legacy))


def _certificate_bag(certificate: bytes, attributes: bytes = b"") -> bytes:
    value = der.sequence(names.X509_CERTIFICATE, der.explicit(0, der.octet_string(certificate)))
    return _bag(names.CERTIFICATE_BAG, value, attributes)


def _bag(kind: bytes, value: bytes, attributes: bytes) -> bytes:
    return der.sequence(kind, der.explicit(0, value), attributes)


def _local_key_id(key_id: bytes) -> bytes:
    return der.set_of(der.sequence(names.LOCAL_KEY_ID, der.set_of(der.octet_string(key_id))))


def _data(content: bytes) -> bytes:
    return der.sequence(names.DATA, der.explicit(0, der.octet_string(content)))


def _encrypted_data(algorithm: bytes, ciphertext: bytes) -> bytes:
    content = der.sequence(names.DATA, algorithm, der.tagged(der.CONTEXT, ciphertext))
    return der.sequence(names.ENCRYPTED_DATA, der.explicit(0, der.sequence(der.integer(0), content)))


def _modern(plaintext: bytes, identifiers: Identifiers) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and ciphertext: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018, 6.2)."""
    salt, iv = identifiers.random(_SALT_BYTES), identifiers.random(16)
    key = hashlib.pbkdf2_hmac("sha256", EMPTY_PASSWORD.utf8, salt, _ITERATIONS, 32)
    prf = der.sequence(names.HMAC_SHA256, der.NULL)
    derivation = der.sequence(names.PBKDF2, der.sequence(der.octet_string(salt), der.integer(_ITERATIONS), prf))
    encryption = der.sequence(names.AES_256_CBC, der.octet_string(iv))
    algorithm = der.sequence(names.PBES2, der.sequence(derivation, encryption))
    return algorithm, _encrypted(Cipher(AES256(key), CBC(iv)), plaintext, 128)


def _legacy(plaintext: bytes, identifiers: Identifiers) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and ciphertext: pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292, appendix C)."""
    salt = identifiers.random(_LEGACY_SALT_BYTES)
    key = names.derived(EMPTY_PASSWORD, "sha1", FOR_KEY, salt, _ITERATIONS, 24)
    iv = names.derived(EMPTY_PASSWORD, "sha1", FOR_IV, salt, _ITERATIONS, 8)
    algorithm = der.sequence(names.PBE_SHA1_3DES, der.sequence(der.octet_string(salt), der.integer(_ITERATIONS)))
    return algorithm, _encrypted(Cipher(TripleDES(key), CBC(iv)), plaintext, 64)


def _encrypted(cipher: Cipher[CBC], plaintext: bytes, block_bits: int) -> bytes:
    padder, encryptor = PKCS7(block_bits).padder(), cipher.encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def _mac_data(safe: bytes, identifiers: Identifiers, *, legacy: bool) -> bytes:
    """MacData (RFC 7292, 4), over the content of the AuthenticatedSafe's OCTET STRING."""
    hash_oid, hash_name = (names.SHA1, "sha1") if legacy else (names.SHA256, "sha256")
    salt = identifiers.random(_LEGACY_SALT_BYTES if legacy else _SALT_BYTES)
    length = hashlib.new(hash_name, usedforsecurity=False).digest_size
    key = names.derived(EMPTY_PASSWORD, hash_name, FOR_MAC, salt, _ITERATIONS, length)
    digest = der.sequence(der.sequence(hash_oid, der.NULL), der.octet_string(names.mac(key, hash_name, safe)))
    return der.sequence(digest, der.octet_string(salt), der.integer(_ITERATIONS))

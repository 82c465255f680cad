"""What the tests of the ACME client share: account keys in memory, signing requests, and what a server waits for."""

import asyncio
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hsmvault.outbound.acme_jws import AccountKey

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
REQUEST_KEY = ec.generate_private_key(ec.SECP256R1())  # no server takes a request by the key of an account


def public_of(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def account_key(key: PrivateKey) -> AccountKey:
    """As custody signs: RSASSA-PKCS1-v1_5, or r || s."""

    async def sign(digest: bytes) -> bytes:
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
        r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return AccountKey(public_of(key), sign)


def signing_request(
    *names: x509.GeneralName, common_name: str = "", key: PrivateKey | None = None, extensions: bool = True
) -> bytes:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder(x509.Name(subject))
    if extensions:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key or REQUEST_KEY, SHA256()).public_bytes(Encoding.DER)


async def until(look: Callable[[], Awaitable[bool]], *, times: int = 300) -> None:
    """A stranger's process does its work when it likes."""
    for _ in range(times):
        if await look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")

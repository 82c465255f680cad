"""Certificates that come in: content that cannot be read, does not fit, or is over."""

import base64
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.custody import pkcs12_files as files
from tests.custody.certificates import BEGIN, Issued, issued
from tests.refusals import words
from tests.refusals.grounds import pfx
from tests.refusals.places import CERTIFIED
from tests.refusals.rig import Rig
from tests.refusals.table import ROWS
from tests.refusals.words import NOT_PUBLISHED, Refusal, property_invalid

pytestmark = pytest.mark.asyncio(loop_scope="package")

PEM = {"policy": {"secret_props": {"contentType": "application/x-pem-file"}}}
PKCS12 = {"policy": {"secret_props": {"contentType": "application/x-pkcs12"}}}


@cache
def one() -> Issued:
    return issued("one")


@cache
def other() -> Issued:
    return issued("other")


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def pem(*parts: bytes) -> str:
    return b"".join(parts).decode()


def content(made: Issued | None, *, key: Any = None, encryption: KeySerializationEncryption | None = None) -> str:
    certificate = None if made is None else made.certificate
    return b64(serialize_key_and_certificates(None, key, certificate, None, encryption or NoEncryption()))


def encrypted_key() -> bytes:
    return one().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a"))


def of_key(key: Any) -> str:
    """PEM of a key and a certificate for it."""
    made = issued("odd", one(), key=key)
    return pem(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), made.pem)


def over() -> str:
    made = issued("over", begin=BEGIN - timedelta(days=400), days=365)
    return pem(made.pem_key, made.pem)


def chain_over() -> str:
    root = issued("root", begin=BEGIN - timedelta(days=400), days=365)
    leaf = issued("leaf", root)
    return pem(leaf.pem_key, leaf.pem, root.pem)


def iterations() -> str:
    """Ten million for the key, or so it says."""
    scheme = files.pbes2(1, claims=10_000_000)
    parts = [files.plain(files.shrouded_key_bag(one().pkcs8, scheme), files.certificate_bag(one().der))]
    return b64(files.pfx(parts))


def mac_iterations() -> str:
    parts = [files.plain(files.key_bag(one().pkcs8), files.certificate_bag(one().der))]
    return b64(files.pfx(parts, files.mac_data(files.safe_of(parts), claims=10_000_000)))


def good() -> str:
    return pem(one().pem_key, one().pem)


CONTENTS: dict[str, Any] = {
    "nothing": lambda: {"value": ""},
    "rubbish": lambda: {"value": "AAAA"},
    "no base64": lambda: {"value": "!!!!"},
    "no base64 of a PKCS#12": lambda: {"value": "!!!!", **PKCS12},
    "rubbish instead of PEM": lambda: {"value": "AAAA", **PEM},
    "PEM where a PKCS#12 is promised": lambda: {"value": good(), **PKCS12},
    "a PKCS#12 where PEM is promised": lambda: {"value": pfx(), **PEM},
    "a certificate alone": lambda: {"value": pem(one().pem)},
    "a key alone": lambda: {"value": pem(one().pem_key)},
    "two keys": lambda: {"value": pem(one().pem_key, one().pem, other().pem_key)},
    "an encrypted key in PEM": lambda: {"value": pem(encrypted_key(), one().pem)},
    "PEM that is cut": lambda: {"value": good()[:-100]},
    "too many certificates": lambda: {"value": pem(one().pem_key, *[one().pem] * 21)},
    "a certificate alone in a PKCS#12": lambda: {"value": content(one())},
    "a PKCS#12 that is cut": lambda: {"value": pfx()[:-40]},
    "a password for a file without one": lambda: {"value": content(one(), key=one().key), "pwd": "x"},
    "a wrong password": lambda: {
        "value": content(one(), key=one().key, encryption=BestAvailableEncryption(b"right")),
        "pwd": "wrong",
    },
    "no password": lambda: {"value": content(one(), key=one().key, encryption=BestAvailableEncryption(b"right"))},
    "a long password": lambda: {"value": pfx(), "pwd": "x" * 10_000},
    "ten million iterations": lambda: {"value": iterations(), "pwd": files.PASSWORD},
    "ten million iterations of the MAC": lambda: {"value": mac_iterations(), "pwd": files.PASSWORD},
    "a certificate that is over": lambda: {"value": over()},
    "an authority that is over": lambda: {"value": chain_over()},
    "a short key": lambda: {"value": of_key(rsa.generate_private_key(65537, 1024))},  # noqa: S505  # as it is meant,
    "a key of another type": lambda: {"value": of_key(ed25519.Ed25519PrivateKey.generate())},
    "a key of another curve": lambda: {"value": of_key(ec.generate_private_key(ec.SECP224R1()))},
}
OTHER_KEYS: dict[str, Any] = {
    "in PEM": lambda: {"value": pem(one().pem_key, other().pem)},
    "behind a certificate that fits nothing": lambda: {"value": pem(other().pem, other().pem, one().pem_key)},
}


@pytest.mark.parametrize("which", CONTENTS)
async def test_what_cannot_be_imported_is_refused_and_leaves_nothing(rig: Rig, which: str) -> None:
    row, body = ROWS["import_certificate"], CONTENTS[which]()
    for name in ("coming-in", "good"):
        await rig.refused(CERTIFIED, row, NOT_PUBLISHED, row.target(name), body=body)


@pytest.mark.parametrize("which", OTHER_KEYS)
async def test_a_certificate_of_another_key_is_refused(rig: Rig, which: str) -> None:
    row = ROWS["import_certificate"]
    await rig.refused(CERTIFIED, row, words.OTHER_KEY, row.target("coming-in"), body=OTHER_KEYS[which]())


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"kty": "RSA"}, property_invalid("kty")),
        ({"kty": "EC", "key_size": 384}, property_invalid("key_size")),
        ({"kty": "EC", "crv": "P-256K"}, property_invalid("crv")),
        ({"kty": "EC-HSM", "exportable": True}, NOT_PUBLISHED),
    ],
    ids=["type", "size", "curve", "hardware"],
)
async def test_a_policy_that_speaks_of_another_key_is_refused(
    rig: Rig, key: dict[str, object], expected: Refusal
) -> None:
    row = ROWS["import_certificate"]
    body = {"value": good(), "policy": {"key_props": key}}
    await rig.refused(CERTIFIED, row, expected, row.target("coming-in"), body=body)

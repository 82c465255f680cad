"""What is done to a key while the process is killed, what is there before it, and what a later process finds."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import Attribute

from hsmvault.clock import SystemClock
from hsmvault.custody.admission import PrivateJwk
from hsmvault.errors import NotFound
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.keys import KeyVersion
from hsmvault.resources.imported_keys import ImportedKey
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.key_settings import KeySettings
from hsmvault.store import keys as store
from tests.faults.parts import VAULT, Parts

NAME = "Subject"
EC = KeySpec.ec(Curve.P256)
RSA = KeySpec.rsa(2048)
DIGEST = hashlib.sha256(b"a message").digest()
PLAIN = KeySettings()


@dataclass(frozen=True)
class Setup:
    """hardware: of the keys that are made. blob: a backup from before the action."""

    hardware: bool
    blob: bytes = b""


Action = Callable[[Parts, Setup], Awaitable[Any]]


async def create(parts: Parts, setup: Setup) -> None:
    await parts.keys.create(VAULT, NAME, EC, PLAIN, hardware=setup.hardware)


async def create_rsa(parts: Parts, setup: Setup) -> None:
    await parts.keys.create(VAULT, NAME, RSA, PLAIN, hardware=setup.hardware)


async def admit(parts: Parts, setup: Setup) -> None:
    await parts.keys.admit(VAULT, NAME, ImportedKey(_ec_jwk()), PLAIN, hardware=setup.hardware)


async def admit_rsa(parts: Parts, setup: Setup) -> None:
    await parts.keys.admit(VAULT, NAME, ImportedKey(_rsa_jwk()), PLAIN, hardware=setup.hardware)


async def update(parts: Parts, setup: Setup) -> None:
    await parts.keys.update(VAULT, NAME, None, KeySettings(tags={"changed": "yes"}))


async def delete(parts: Parts, setup: Setup) -> None:
    await parts.keys.delete(VAULT, NAME)


async def recover(parts: Parts, setup: Setup) -> None:
    await parts.keys.recover(VAULT, NAME)


async def purge(parts: Parts, setup: Setup) -> None:
    await parts.keys.purge(VAULT, NAME)


async def rotate(parts: Parts, setup: Setup) -> None:
    await KeyRotation(parts.database, parts.keys, SystemClock()).rotate(VAULT, NAME)


async def purge_when_due(parts: Parts, setup: Setup) -> None:
    assert await parts.keys.purge_when_due(VAULT, NAME, 2**40, _nothing_to_record)


async def _nothing_to_record(_: KeyVersion) -> None:
    return


async def restore(parts: Parts, setup: Setup) -> None:
    await parts.backups.restore(VAULT, setup.blob, "https://crash.vault.localhost")


async def _nothing(parts: Parts, setup: Setup) -> None:
    return


async def _two_versions(parts: Parts, setup: Setup) -> None:
    """An RSA version, so that there is something to decrypt, and an EC version that is the newest."""
    await admit_rsa(parts, setup)
    await create(parts, setup)


async def _used(parts: Parts, setup: Setup) -> None:
    """Loaded, as a key is that somebody uses."""
    await _two_versions(parts, setup)
    await parts.operations.sign(VAULT, NAME, None, "ES256", DIGEST)


async def _deleted(parts: Parts, setup: Setup) -> None:
    await _two_versions(parts, setup)
    await delete(parts, setup)


async def back_up(parts: Parts, setup: Setup) -> bytes:
    """A blob of a key that is then gone."""
    await _two_versions(parts, setup)
    blob = await parts.backups.backup(VAULT, NAME)
    await delete(parts, setup)
    await purge(parts, setup)
    return blob


@dataclass(frozen=True)
class Case:
    """before: brings about what the action begins with; what it returns is the setup's blob."""

    before: Action
    action: Action


CASES = {
    "create": Case(_nothing, create),
    "create a version": Case(_two_versions, create),
    "create RSA": Case(_nothing, create_rsa),
    "import": Case(_nothing, admit),
    "import RSA": Case(_nothing, admit_rsa),
    "import a version": Case(_two_versions, admit),
    "update": Case(_two_versions, update),
    "delete": Case(_used, delete),
    "recover": Case(_deleted, recover),
    "purge": Case(_deleted, purge),
    "restore": Case(back_up, restore),
    "rotate": Case(_two_versions, rotate),
    "purge when due": Case(_deleted, purge_when_due),
}


@dataclass(frozen=True)
class State:
    """The key as it is found. versions: of the key, oldest first, with the tags of each. objects: in the token."""

    life: str
    versions: tuple[tuple[str, tuple[str, ...]], ...]
    objects: int


async def observe(parts: Parts) -> State:
    """Every version that is there is whole: it signs and verifies, and an RSA key decrypts."""
    async with parts.database.read() as tx:
        at_name = await store.name(tx, VAULT.id, NAME.lower())
        rows = await store.versions(tx, VAULT.id, NAME.lower())
    life = "absent" if at_name is None else "deleted" if at_name.is_deleted else "active"
    if life == "active":
        for row in rows:
            await _require_use(parts, row.version, row.spec)
    versions = tuple((row.spec.family.value, tuple(row.tags)) for row in rows)
    return State(life, versions, await _count_objects(parts))


async def require_usable(parts: Parts, setup: Setup, state: State) -> None:
    """Whatever the crash left, life goes on: a free name can be taken, a deleted key comes back and works."""
    if state.life == "absent":
        try:
            await parts.keys.get(VAULT, NAME, None)
        except NotFound:
            await create(parts, setup)
    elif state.life == "deleted":
        await recover(parts, setup)
        async with parts.database.read() as tx:
            rows = await store.versions(tx, VAULT.id, NAME.lower())
        for row in rows:
            await _require_use(parts, row.version, row.spec)
        await delete(parts, setup)
        await purge(parts, setup)
        await create(parts, setup)
    await _require_use(parts, None, (await parts.keys.get(VAULT, NAME, None)).spec)


async def _require_use(parts: Parts, version: str | None, spec: KeySpec) -> None:
    algorithm = "ES256" if spec.family is Family.EC else "RS256"
    signed = await parts.operations.sign(VAULT, NAME, version, algorithm, DIGEST)
    assert await parts.operations.verify(VAULT, NAME, version, algorithm, DIGEST, signed.value)
    if spec.family is Family.RSA:
        sealed = await parts.operations.encrypt(VAULT, NAME, version, "encrypt", "RSA-OAEP", b"plaintext")
        opened = await parts.operations.decrypt(VAULT, NAME, version, "decrypt", "RSA-OAEP", sealed.value)
        assert opened.value == b"plaintext"


async def _count_objects(parts: Parts) -> int:
    return await parts.token.load(lambda work: len(list(work.session.get_objects({Attribute.TOKEN: True}))))


@cache
def _ec_jwk() -> PrivateJwk:
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    x, y, d = (number.to_bytes(32, "big") for number in (public.x, public.y, numbers.private_value))
    return PrivateJwk(Family.EC, Curve.P256, x=x, y=y, d=d)


@cache
def _rsa_jwk() -> PrivateJwk:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    public = numbers.public_numbers
    n, e, d, p, q = (
        number.to_bytes((number.bit_length() + 7) // 8, "big")
        for number in (public.n, public.e, numbers.d, numbers.p, numbers.q)
    )
    return PrivateJwk(Family.RSA, n=n, e=e, d=d, p=p, q=q)

"""What is done to a key while the process is killed, and what is there before it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hsmvault.custody.admission import PrivateJwk
from hsmvault.jobs.purge import PurgeDeleted, purged_keys
from hsmvault.jobs.rotation import RotateKeys
from hsmvault.jobs.runner import Job
from hsmvault.model.algorithms import Curve, Family, KeySpec
from hsmvault.model.containers import Container
from hsmvault.resources.imported_keys import ImportedKey, WrappedKey
from hsmvault.resources.key_settings import EXCHANGE, KeySettings
from tests.faults import samples
from tests.faults.parts import POOL, VAULT, Parts

NAME = "Subject"
EXCHANGE_NAME = "Exchange"
EC = KeySpec.ec(Curve.P256)
RSA = KeySpec.rsa(2048)
AES = KeySpec.oct(256)
PLAIN = KeySettings()
SOFT, WRAPPED, RESIDENT = CUSTODY = ("soft", "wrapped", "resident")


@dataclass(frozen=True)
class Setup:
    """hardware: of the keys that are made. container: that holds them. blob: a backup from before the action."""

    hardware: bool
    container: Container = VAULT
    blob: bytes = b""


Action = Callable[[Parts, Setup], Awaitable[Any]]


async def create(parts: Parts, setup: Setup, spec: KeySpec = EC, settings: KeySettings = PLAIN) -> None:
    await parts.keys.create(setup.container, NAME, spec, settings, hardware=setup.hardware)


async def create_rsa(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, RSA)


async def create_oct(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, AES)


async def create_exchange(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, RSA, KeySettings(operations=EXCHANGE))


async def create_exportable(parts: Parts, setup: Setup) -> None:
    await create(parts, setup, EC, KeySettings(exportable=True, release_policy=samples.release_policy("first")))


async def admit(parts: Parts, setup: Setup) -> None:
    await _admit(parts, setup, ImportedKey(samples.ec_jwk()))


async def admit_rsa(parts: Parts, setup: Setup) -> None:
    await _admit(parts, setup, ImportedKey(samples.rsa_jwk()))


async def admit_oct(parts: Parts, setup: Setup) -> None:
    await _admit(parts, setup, ImportedKey(PrivateJwk(Family.OCT), secret=samples.SECRET))


async def admit_exportable(parts: Parts, setup: Setup) -> None:
    settings = KeySettings(exportable=True, release_policy=samples.release_policy("first"))
    await _admit(parts, setup, ImportedKey(samples.ec_jwk()), settings)


async def _admit(parts: Parts, setup: Setup, key: ImportedKey, settings: KeySettings = PLAIN) -> None:
    await parts.keys.admit(setup.container, NAME, key, settings, hardware=setup.hardware)


async def admit_wrapped(parts: Parts, setup: Setup) -> None:
    exchange = await parts.keys.get(setup.container, EXCHANGE_NAME, None)
    wrapped = samples.wrapped_for(exchange.public)
    key = WrappedKey(exchange.name, exchange.version, Family.EC, Curve.P256, wrapped)
    await parts.keys.admit_wrapped(setup.container, NAME, key, PLAIN)


async def update(parts: Parts, setup: Setup) -> None:
    """Also when the version expires, so that its schedule changes."""
    settings = KeySettings(tags={"changed": "yes"}, expires=int(time.time()) + 400 * 86_400)
    await parts.keys.update(setup.container, NAME, None, settings)


async def update_release_policy(parts: Parts, setup: Setup) -> None:
    settings = KeySettings(release_policy=samples.release_policy("second"))
    await parts.keys.update(setup.container, NAME, None, settings)


async def set_policy(parts: Parts, setup: Setup) -> None:
    await parts.rotation.set_policy(setup.container, NAME, samples.OTHER_ROTATION)


async def delete(parts: Parts, setup: Setup) -> None:
    await parts.keys.delete(setup.container, NAME)


async def recover(parts: Parts, setup: Setup) -> None:
    await parts.keys.recover(setup.container, NAME)


async def purge(parts: Parts, setup: Setup) -> None:
    await parts.keys.purge(setup.container, NAME)


async def rotate(parts: Parts, setup: Setup) -> None:
    await parts.rotation.rotate(setup.container, NAME)


async def rotate_by_job(parts: Parts, setup: Setup) -> None:
    await run(RotateKeys(parts.database, parts.rotation, parts.records))


async def purge_by_job(parts: Parts, setup: Setup) -> None:
    await run(PurgeDeleted(parts.database, parts.records, [purged_keys(parts.keys)]))


async def run(job: Job) -> None:
    await job.run(_Turn())


class _Turn:
    def now(self) -> int:
        return int(time.time())

    async def goes_on(self) -> bool:
        return True


async def restore(parts: Parts, setup: Setup) -> None:
    await parts.backups.restore(setup.container, setup.blob, "https://crash.vault.localhost")


async def make_statement_key(parts: Parts, setup: Setup) -> None:
    await parts.statements.current()


async def nothing(parts: Parts, setup: Setup) -> None:
    return


async def _two_versions(parts: Parts, setup: Setup) -> None:
    """An RSA version, so that there is something to decrypt, and an EC version that is the newest; both to rotate."""
    await admit_rsa(parts, setup)
    await create(parts, setup)
    await parts.rotation.set_policy(setup.container, NAME, samples.ROTATION)


async def _oct_version(parts: Parts, setup: Setup) -> None:
    await create_oct(parts, setup)
    await parts.rotation.set_policy(setup.container, NAME, samples.POOL_ROTATION)


async def _exchange_key(parts: Parts, setup: Setup) -> None:
    settings = KeySettings(operations=EXCHANGE)
    await parts.keys.create(setup.container, EXCHANGE_NAME, RSA, settings, hardware=True)


async def _used(parts: Parts, setup: Setup) -> None:
    """Loaded, as a key is that somebody uses."""
    await _two_versions(parts, setup)
    await parts.operations.sign(setup.container, NAME, None, "ES256", samples.DIGEST)


async def _deleted(parts: Parts, setup: Setup) -> None:
    await _two_versions(parts, setup)
    await delete(parts, setup)


async def _gone(parts: Parts, setup: Setup) -> bytes:
    """A blob of a key that is then gone."""
    blob = await parts.backups.backup(setup.container, NAME)
    await delete(parts, setup)
    await purge(parts, setup)
    return blob


async def _backed_up(parts: Parts, setup: Setup) -> bytes:
    await _two_versions(parts, setup)
    return await _gone(parts, setup)


async def _exportable_backed_up(parts: Parts, setup: Setup) -> bytes:
    await create_exportable(parts, setup)
    await admit_exportable(parts, setup)
    await parts.rotation.set_policy(setup.container, NAME, samples.ROTATION)
    return await _gone(parts, setup)


@dataclass(frozen=True)
class Case:
    """before: brings about what the action begins with; what it returns is the setup's blob. custody: classes that can
    do it. recorded: audit name of what is recorded before it is done, of what nobody called for.
    """

    before: Action
    action: Action
    custody: tuple[str, ...] = CUSTODY
    container: Container = VAULT
    recorded: str = ""


HARD = (WRAPPED, RESIDENT)
CASES = {
    "create": Case(nothing, create),
    "create a version": Case(_two_versions, create),
    "create RSA": Case(nothing, create_rsa),
    "create oct": Case(nothing, create_oct, (WRAPPED,), POOL),
    "create a key-exchange key": Case(nothing, create_exchange, HARD),
    "create exportable": Case(nothing, create_exportable, (WRAPPED,)),
    "import": Case(nothing, admit),
    "import RSA": Case(nothing, admit_rsa),
    "import a version": Case(_two_versions, admit),
    "import oct": Case(nothing, admit_oct, (WRAPPED,), POOL),
    "import exportable": Case(nothing, admit_exportable, (WRAPPED,)),
    "import wrapped": Case(_exchange_key, admit_wrapped, HARD),
    "update": Case(_two_versions, update),
    "update the release policy": Case(create_exportable, update_release_policy, (WRAPPED,)),
    "set the rotation policy": Case(_two_versions, set_policy),
    "delete": Case(_used, delete),
    "recover": Case(_deleted, recover),
    "purge": Case(_deleted, purge),
    "restore": Case(_backed_up, restore, (SOFT, WRAPPED)),  # a resident key never leaves its token
    "restore exportable": Case(_exportable_backed_up, restore, (WRAPPED,)),
    "rotate": Case(_two_versions, rotate),
    "rotate exportable": Case(create_exportable, rotate, (WRAPPED,)),
    "rotate oct": Case(_oct_version, rotate, (WRAPPED,), POOL),
    "rotate by the job": Case(_two_versions, rotate_by_job, recorded="KeyRotateIfDue"),
    "purge by the job": Case(_deleted, purge_by_job, recorded="KeyPurge"),
    "make a statement key": Case(nothing, make_statement_key, HARD),
}

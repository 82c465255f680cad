"""Backup and restore of keys: what comes back, and where it does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmvault.clock import MovedClock, RandomIdentifiers
from hsmvault.custody.backup import BackupScope, seal_backup
from hsmvault.custody.custodians import Custodians, WorldCustody
from hsmvault.custody.keyring import KeyRing
from hsmvault.custody.protocols import PLAIN, Custodian, CustodyClass, HeldKey, Terms
from hsmvault.custody.sealing import Sealer
from hsmvault.custody.soft import SoftCustodian
from hsmvault.errors import BadRequest, Conflict, Unavailable
from hsmvault.lanes import Lane
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, Hash, KeySpec
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.durations import Duration
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.release_policies import ReleasePolicy
from hsmvault.model.rotation import ActionType, LifetimeAction, RotationPolicy
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.resources import key_backup_bodies as bodies
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import binding_of, held_by
from hsmvault.resources.policy_binding import bound, check_bound
from hsmvault.store import containers, worlds
from hsmvault.store import keys as store
from hsmvault.store.data_keys import DataKeys
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from tests.custody.attestations import attesting
from tests.custody.doubles import SoftwareSystemKey
from tests.custody.first_backups import seal_first
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

P256 = KeySpec.ec(Curve.P256)
ES256 = SIGNATURE_ALGORITHMS["ES256"]
DIGEST = bytes(32)
VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="north",
    tenant_id="22222222-0000-0000-0000-000000000001",
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="group",
    location="local",
    world_id="world-1",
)
SOUTH = replace(VAULT, id="11111111-0000-0000-0000-000000000002", name="south")
POOL = replace(
    VAULT, id="11111111-0000-0000-0000-000000000003", name="pool", kind=ContainerKind.POOL, world_id="world-2"
)
OTHER_POOL = replace(POOL, id="11111111-0000-0000-0000-000000000004", name="other", world_id="world-3")
TWIN_POOL = replace(POOL, id="11111111-0000-0000-0000-000000000005", name="twin")
ROTATION = RotationPolicy(
    (
        LifetimeAction(ActionType.ROTATE, after_create=Duration(months=18)),
        LifetimeAction(ActionType.NOTIFY, before_expiry=Duration(days=30)),
    ),
    Duration(years=2),
    1_750_000_000,
    1_750_000_001,
)
POLICY = ReleasePolicy(b'{"version":"1.0.0"}', "application/json", True)


@dataclass
class Rig:
    database: Database
    custodians: Custodians
    sealers: dict[str, Sealer]
    backups: KeyBackups

    async def make(
        self,
        container: Container,
        custody: CustodyClass,
        *,
        spec: KeySpec = P256,
        terms: Terms = PLAIN,
        versions: int = 1,
        policy: RotationPolicy | None = None,
        release: ReleasePolicy | None = None,
    ) -> list[KeyVersion]:
        """A key 'Key' with these versions, the last one disabled."""
        rows = []
        for sequence in range(1, versions + 1):
            version = RandomIdentifiers().version()
            held = await self.custodian(container, custody).generate(
                spec, binding_of(container.id, "Key", version), terms
            )
            kept = await bound(self.custodians, container, "Key", version, release)
            rows.append(self.row(container, held, version, sequence, sequence == versions, kept))
        at_name = KeyName(container.id, "Key", rows[-1].version, versions + 1, 5, 1, rotation_policy=policy)
        async with self.database.write() as tx:
            await store.restore(tx, at_name, rows)
        return rows

    def row(
        self,
        container: Container,
        held: HeldKey,
        version: str,
        sequence: int,
        is_last: bool,
        release: ReleasePolicy | None,
    ) -> KeyVersion:
        return KeyVersion(
            container_id=container.id,
            name="Key",
            version=version,
            sequence=sequence,
            spec=held.spec,
            custody=held.custody.value,
            public=held.public,
            reference=held.reference,
            public_members={"x": b"x", "y": b"y"},
            operations=("sign",),
            created=10 + sequence,
            updated=20 + sequence,
            enabled=not is_last,
            not_before=None,
            expires=4_000_000_000,
            exportable=release is not None,
            release_policy=release,
            tags={"n": str(sequence)},
        )

    def custodian(self, container: Container, custody: CustodyClass) -> Custodian:
        return self.custodians.holding(container, custody.value)

    async def found(self, container: Container) -> tuple[KeyName, list[KeyVersion]]:
        async with self.database.read() as tx:
            at_name = await store.name(tx, container.id, "key")
            rows = await store.versions(tx, container.id, "key")
        assert at_name is not None
        return at_name, rows

    async def works(self, container: Container, row: KeyVersion) -> None:
        handle = self.custodian(container, CustodyClass(row.custody)).open(
            held_by(row), binding_of(container.id, row.name, row.version)
        )
        assert await handle.sign(ES256, DIGEST)


@asynccontextmanager
async def rig_in(folder: Path, soft_token: SoftToken) -> AsyncIterator[Rig]:
    clock = MovedClock()
    url = f"sqlite:///{folder}/hsmvault.db"
    migrate(url)
    database = await Database.open(url, clock=clock)
    lanes: list[Lane[None]] = [Lane(name, None, limit=100) for name in ("soft", "generation")]
    sealers = {}
    async with database.write() as tx:
        for number in (1, 2, 3):
            id = f"world-{number}"
            await worlds.insert_world(tx, WorldRow(id, id, "local", "t", b"w", b"m", "wrapped", 0))
            await worlds.insert_system_key(tx, SystemKeyRow(f"system-{number}", id, b"s", ACTIVE, 0))
            ring = KeyRing(SoftwareSystemKey(f"system-{number}"))
            sealers[id] = Sealer(ring, DataKeys(database), clock, RandomIdentifiers())
        for container in (VAULT, SOUTH, POOL, OTHER_POOL, TWIN_POOL):
            await containers.insert(tx, container)
    soft = SoftCustodian(sealers["world-1"], clock, work=lanes[0], generation=lanes[1], world_id="world-1")
    async with attesting(soft_token) as hard:
        wrapped = WorldCustody(CustodyClass.WRAPPED, {CustodyClass.WRAPPED: hard.wrapped}, hard.wrapped.world.mac)
        custodians = Custodians(soft, dict.fromkeys(sealers, wrapped))
        geographies = dict.fromkeys(sealers, "local")
        yield Rig(
            database,
            custodians,
            sealers,
            KeyBackups(database, custodians, sealers, geographies, clock, RandomIdentifiers()),
        )
    for lane in lanes:
        await lane.close()
    await database.close()


@pytest.fixture
async def rig(tmp_path: Path, softhsm: SoftToken) -> AsyncIterator[Rig]:  # noqa: F811  # the fixture
    async with rig_in(tmp_path, softhsm) as made:
        yield made


def same_but_for_its_place(row: KeyVersion, container: Container, reference: bytes) -> KeyVersion:
    return replace(row, container_id=container.id, reference=reference)


@pytest.mark.parametrize("custody", [CustodyClass.SOFT, CustodyClass.WRAPPED])
async def test_every_version_comes_back_with_its_attributes_and_both_policies(rig: Rig, custody: CustodyClass) -> None:
    release = None if custody is CustodyClass.SOFT else POLICY
    terms = Terms(exportable=True) if release else PLAIN
    rows = await rig.make(VAULT, custody, terms=terms, versions=3, policy=ROTATION, release=release)
    blob = await rig.backups.backup(VAULT, "kEY")
    latest = await rig.backups.restore(SOUTH, blob, "https://south")
    at_name, restored = await rig.found(SOUTH)
    assert restored == [same_but_for_its_place(one, SOUTH, new.reference) for one, new in zip(rows, restored)]  # noqa: B905  # lengths are compared
    assert (latest, latest.enabled) == (restored[-1], False)
    assert (at_name.rotation_policy, at_name.created, at_name.next_sequence) == (ROTATION, 5, 4)
    for row in restored:
        await rig.works(SOUTH, row)
        await check_bound(rig.custodians, SOUTH, row)
    with pytest.raises(Conflict):
        await rig.backups.restore(SOUTH, blob, "https://south")


async def test_an_exportable_key_is_exportable_after_its_restore_and_another_is_not(rig: Rig) -> None:
    recipient = rsa.generate_private_key(65537, 2048).public_key()
    spki = recipient.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    await rig.make(VAULT, CustodyClass.WRAPPED, terms=Terms(exportable=True), release=POLICY)
    await rig.backups.restore(SOUTH, await rig.backups.backup(VAULT, "key"), "https://south")
    (row,) = (await rig.found(SOUTH))[1]
    custodian = rig.custodian(SOUTH, CustodyClass.WRAPPED)
    binding = binding_of(SOUTH.id, row.name, row.version)
    assert len(await custodian.export(held_by(row), binding, spki, Hash.SHA256)) > 256
    attestation = await custodian.attest(held_by(row), binding)
    assert attestation.private_key


async def test_a_soft_key_survives_the_purge_of_its_vault_and_the_data_keys_of_it(rig: Rig) -> None:
    await rig.make(VAULT, CustodyClass.SOFT)
    blob = await rig.backups.backup(VAULT, "key")
    row = await DataKeys(rig.database).current(VAULT.id)
    assert row is not None
    assert bytes.fromhex(row.id) not in blob
    rig.sealers["world-1"].forget()
    await rig.backups.restore(SOUTH, blob, "https://south")
    await rig.works(SOUTH, (await rig.found(SOUTH))[1][0])


async def refused(rig: Rig, container: Container, blob: bytes) -> str:
    with pytest.raises(BadRequest) as caught:
        await rig.backups.restore(container, blob, "https://else")
    async with rig.database.read() as tx:
        assert await store.name(tx, container.id, "key") is None
    return caught.value.message


async def test_vaults_and_pools_do_not_mix_and_a_pools_backup_stays_in_its_world(rig: Rig) -> None:
    nothing = await refused(rig, SOUTH, b"")
    await rig.make(VAULT, CustodyClass.WRAPPED)
    await rig.make(POOL, CustodyClass.WRAPPED)
    of_vault, of_pool = await rig.backups.backup(VAULT, "key"), await rig.backups.backup(POOL, "key")
    for container, blob in ((TWIN_POOL, of_vault), (SOUTH, of_pool), (OTHER_POOL, of_pool), (OTHER_POOL, of_vault)):
        assert await refused(rig, container, blob) == nothing
    await rig.backups.restore(TWIN_POOL, of_pool, "https://twin")
    await rig.works(TWIN_POOL, (await rig.found(TWIN_POOL))[1][0])


async def test_a_pool_in_the_world_of_vaults_takes_none_of_their_backups(rig: Rig) -> None:
    await rig.make(VAULT, CustodyClass.WRAPPED)
    blob = await rig.backups.backup(VAULT, "key")
    await refused(rig, replace(TWIN_POOL, world_id=VAULT.world_id), blob)


async def test_an_oct_key_comes_back_in_a_pool_and_is_refused_where_there_are_none(rig: Rig) -> None:
    rows = await rig.make(POOL, CustodyClass.WRAPPED, spec=KeySpec.oct(256))
    await rig.backups.restore(TWIN_POOL, await rig.backups.backup(POOL, "key"), "https://twin")
    assert (await rig.found(TWIN_POOL))[1][0].spec == rows[0].spec
    forged = await sealed_body(rig, SOUTH, rows[0], b"packed")
    assert "oct" in await refused(rig, SOUTH, forged)


async def test_a_soft_key_is_refused_where_there_are_none(rig: Rig) -> None:
    rows = await rig.make(VAULT, CustodyClass.SOFT)
    forged = await sealed_body(rig, TWIN_POOL, rows[0], b"packed")
    assert "HSM-backed keys only" in await refused(rig, TWIN_POOL, forged)


async def test_more_versions_than_a_pool_takes_are_refused(rig: Rig) -> None:
    (row,) = await rig.make(POOL, CustodyClass.WRAPPED)
    version = bodies.body_of(row, b"packed")
    at_name = KeyName(POOL.id, "Key", row.version, 102, 5, 1)
    blob = await seal_backup(
        rig.sealers["world-2"], scope(TWIN_POOL), bodies.encode(at_name, [version] * 101), created=1
    )
    assert "at most 100 versions" in await refused(rig, TWIN_POOL, blob)


async def test_a_body_of_a_newer_version_is_refused(rig: Rig) -> None:
    (row,) = await rig.make(VAULT, CustodyClass.SOFT)
    at_name = KeyName(VAULT.id, "Key", row.version, 2, 5, 1)
    body = msgspec.msgpack.decode(bodies.encode(at_name, [bodies.body_of(row, b"packed")]))
    for bad in ({**body, "format": 3}, {**body, "versions": []}, {"format": 2}):
        blob = await seal_backup(rig.sealers["world-1"], scope(SOUTH), msgspec.msgpack.encode(bad), created=1)
        assert await refused(rig, SOUTH, blob) == await refused(rig, SOUTH, b"")


async def test_a_blob_and_a_body_of_the_first_format_still_restore(rig: Rig) -> None:
    (row,) = await rig.make(VAULT, CustodyClass.SOFT)
    binding = binding_of(VAULT.id, row.name, row.version)
    sealer = rig.sealers["world-1"]
    data_key = await sealer.row_of(row.reference, binding)
    packed = msgspec.msgpack.encode([row.reference, msgspec.to_builtins(data_key, builtin_types=(bytes,))])
    at_name = KeyName(VAULT.id, "Key", row.version, 2, 5, 1)
    body = msgspec.msgpack.decode(bodies.encode(at_name, [bodies.body_of(row, packed)]))
    body["format"] = 1
    del body["rotation"], body["versions"][0]["release_policy"]
    blob = await seal_first(sealer.system_keys.current, scope(SOUTH), msgspec.msgpack.encode(body))
    await refused(rig, TWIN_POOL, blob)
    restored = await rig.backups.restore(SOUTH, blob, "https://south")
    assert restored == same_but_for_its_place(row, SOUTH, restored.reference)
    await rig.works(SOUTH, restored)


async def test_a_world_that_is_not_served_here_is_out_of_reach(rig: Rig) -> None:
    blob = b"hsmvaultObjectBackup"
    with pytest.raises(Unavailable):
        await rig.backups.restore(replace(SOUTH, world_id="elsewhere"), blob, "https://south")


def scope(container: Container) -> BackupScope:
    kind = container.kind.value
    return BackupScope("key", container.subscription_id, "local", container.tenant_id, kind, container.world_id)


async def sealed_body(rig: Rig, container: Container, row: KeyVersion, packed: bytes) -> bytes:
    """A blob for this container that no such container made."""
    at_name = KeyName(container.id, row.name, row.version, 2, 5, 1)
    body = bodies.encode(at_name, [bodies.body_of(row, packed)])
    return await seal_backup(rig.sealers[container.world_id], scope(container), body, created=1)

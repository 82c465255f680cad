"""Backup and restore of certificates: what comes back, and where it does not."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from hsmvault.custody.backup import BackupScope, seal_backup
from hsmvault.custody.certificate_chains import fits_key
from hsmvault.custody.protocols import CustodyClass
from hsmvault.custody.public import PublicKey
from hsmvault.errors import BadRequest, Conflict, NotFound, Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS
from hsmvault.model.certificate_policies import PEM, Action, LifetimeAction
from hsmvault.model.containers import Container
from hsmvault.resources import certificate_backup_bodies as bodies
from hsmvault.resources import certificate_backups
from hsmvault.resources.certificate_backups import CertificateBackups
from hsmvault.resources.certificates import Certificates
from hsmvault.resources.key_backups import KeyBackups
from hsmvault.resources.key_cache import binding_of as key_binding
from hsmvault.resources.key_cache import held_by
from hsmvault.resources.secret_cache import binding_of as secret_binding
from hsmvault.store import certificate_operations, containers, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.keys import KEYS
from hsmvault.store.schedule import What
from hsmvault.store.secrets import SECRETS
from tests.resources.certificate_stage import MANUAL, P256, Stage, hard_stage, soft_stage
from tests.resources.stage import VAULT, WORLD_ID
from tests.softhsm import SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

SOUTH = replace(VAULT, id="11111111-0000-0000-0000-000000000009", name="south-vault")
ORIGIN = "https://south-vault.vault.localhost"
ES256 = SIGNATURE_ALGORITHMS["ES256"]
HARD = replace(MANUAL, key=replace(P256, hardware=True, exportable=False))
DAY = 86_400


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with soft_stage(tmp_path) as made:
        await add_south(made)
        yield made


async def add_south(on: Stage) -> None:
    async with on.database.write() as tx:
        await containers.insert(tx, SOUTH)


def backups_of(on: Stage) -> CertificateBackups:
    return CertificateBackups(on.database, on.custodians, {WORLD_ID: on.sealer}, {WORLD_ID: "local"}, on.clock)


def lives_of(on: Stage) -> Certificates:
    return Certificates(on.database, on.custodians, on.clock, on.intents)


async def check_works(on: Stage, container: Container, name: str = "cert") -> None:
    """Every version: its key signs, its certificate is the key's, its secret opens."""
    async with on.database.read() as tx:
        certificates = await CERTIFICATES.all_versions(tx, container.id, name)
        keys = await KEYS.all_versions(tx, container.id, name)
        secrets = await SECRETS.all_versions(tx, container.id, name)
    assert [row.version for row in certificates] == [row.version for row in keys] == [row.version for row in secrets]
    for certificate, key, secret in zip(certificates, keys, secrets, strict=True):
        assert fits_key(certificate.certificate, key.public)
        digest = hashlib.sha256(b"message").digest()
        handle = on.custodians.holding(container, key.custody).open(
            held_by(key), key_binding(container.id, name, key.version)
        )
        signature = await handle.sign(ES256, digest)
        assert PublicKey.load(key.public).verify(ES256, digest, signature)
        assert await on.sealer.open(secret.sealed, secret_binding(container.id, name, secret.version))


async def test_all_versions_come_back_in_another_vault_without_what_is_pending(on: Stage) -> None:
    renewed = replace(
        MANUAL, content_type=PEM, actions=(LifetimeAction(Action.EMAIL_CONTACTS, lifetime_percentage=50),)
    )
    first = await on.made("Cert", tags={"a": "b"})
    on.clock.move(60)
    second = await on.made("Cert", renewed, enabled=False)
    before = await on.certificates(), await on.keys(), await on.secrets()
    await on.create("Cert")
    blob = await backups_of(on).backup(VAULT, "cERT")
    restored = await backups_of(on).restore(SOUTH, blob, ORIGIN)
    assert restored.row == replace(second.row, container_id=SOUTH.id)
    assert restored.policy.issuer == second.policy.issuer
    assert not restored.is_pending_open
    async with on.database.read() as tx:
        certificates = await CERTIFICATES.all_versions(tx, SOUTH.id, "cert")
        keys = await KEYS.all_versions(tx, SOUTH.id, "cert")
        secrets = await SECRETS.all_versions(tx, SOUTH.id, "cert")
        at_name = await CERTIFICATES.name(tx, SOUTH.id, "cert")
        original = await CERTIFICATES.name(tx, VAULT.id, "cert")
        assert await certificate_operations.find(tx, SOUTH.id, "cert") is None
        due = await schedule.of_object(tx, SOUTH.id, "certificates", "cert")
    assert [row.certificate for row in certificates] == [first.row.certificate, second.row.certificate]
    assert certificates == [replace(row, container_id=SOUTH.id) for row in before[0]]
    assert [replace(row, reference=b"") for row in keys] == [
        replace(row, container_id=SOUTH.id, reference=b"") for row in before[1]
    ]
    assert [replace(row, sealed=b"") for row in secrets] == [
        replace(row, container_id=SOUTH.id, sealed=b"") for row in before[2]
    ]
    assert {row.reference for row in keys}.isdisjoint(row.reference for row in before[1])
    assert at_name is not None
    assert original is not None
    assert (at_name.name, at_name.policy, at_name.created) == ("Cert", original.policy, original.created)
    assert due == {What.NEAR_EXPIRY: (second.row.expires or 0) - 30 * DAY, What.EXPIRED: second.row.expires}
    await check_works(on, SOUTH)
    await lives_of(on).delete(VAULT, "cert")
    await lives_of(on).purge(VAULT, "cert")
    await check_works(on, SOUTH)  # the copy is independent of the original
    again = await backups_of(on).restore(VAULT, blob, ORIGIN)
    assert again.row == second.row
    await check_works(on, VAULT)
    operation = await on.create("cert")  # and goes on
    assert [row.version for row in await on.certificates()][-1] == operation.version


@pytest.mark.parametrize("kind", ["certificate", "key", "secret"])
async def test_a_name_that_any_of_the_three_has_is_not_restored_over(on: Stage, kind: str) -> None:
    await on.made()
    blob = await backups_of(on).backup(VAULT, "cert")
    await lives_of(on).delete(VAULT, "cert")
    async with on.database.write() as tx:
        for other, store in (("certificate", CERTIFICATES), ("key", KEYS), ("secret", SECRETS)):
            name = await store.name(tx, VAULT.id, "cert")
            assert name is not None
            if other != kind:
                await store.purge(tx, name)
    with pytest.raises(Conflict, match="Conflict while restoring certificate https://south-vault"):
        await backups_of(on).restore(VAULT, blob, ORIGIN)


async def test_two_restores_at_once_make_one_certificate(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await on.made()
    backups = backups_of(on)
    blob = await backups.backup(VAULT, "cert")
    pack = backups._unpack

    async def slower(*arguments: object) -> object:
        with monkeypatch.context() as patched:
            patched.setattr(backups, "_unpack", pack)
            await backups.restore(SOUTH, blob, ORIGIN)
        return await pack(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(backups, "_unpack", slower)
    with pytest.raises(Conflict, match="already exists or concurrent access"):
        await backups.restore(SOUTH, blob, ORIGIN)
    await check_works(on, SOUTH)


async def test_what_cannot_be_backed_up_is_refused(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound):
        await backups_of(on).backup(VAULT, "cert")
    await on.create()
    with pytest.raises(BadRequest, match="pending"):
        await backups_of(on).backup(VAULT, "cert")
    await on.operations.forget(VAULT, "cert")
    await on.made()
    await on.made()
    with monkeypatch.context() as patched:
        patched.setattr(certificate_backups, "_MOST_VERSIONS", 1)
        with pytest.raises(BadRequest, match="more than 1 versions"):
            await backups_of(on).backup(VAULT, "cert")
    with monkeypatch.context() as patched:
        patched.setattr(certificate_backups, "_LONGEST_BODY_BYTES", 1000)
        with pytest.raises(BadRequest, match="too large"):
            await backups_of(on).backup(VAULT, "cert")
    await lives_of(on).delete(VAULT, "cert")
    with pytest.raises(NotFound):
        await backups_of(on).backup(VAULT, "cert")


async def test_a_blob_opens_where_it_belongs_alone(on: Stage) -> None:
    await on.made()
    backups = backups_of(on)
    blob = await backups.backup(VAULT, "cert")
    elsewhere = (
        replace(SOUTH, subscription_id="33333333-0000-0000-0000-000000000002"),
        replace(SOUTH, tenant_id="22222222-0000-0000-0000-000000000002"),
    )
    keys = KeyBackups(on.database, on.custodians, {WORLD_ID: on.sealer}, {WORLD_ID: "local"}, on.clock, None)  # type: ignore[arg-type]  # makes nothing
    with pytest.raises(BadRequest, match="not valid for this vault"):
        await keys.restore(SOUTH, blob, ORIGIN)
    for container in elsewhere:
        with pytest.raises(BadRequest, match="not valid for this vault"):
            await backups.restore(container, blob, ORIGIN)
    for damaged in (b"", blob[:-1], blob[:200], blob[:-20] + bytes([blob[-20] ^ 1]) + blob[-19:]):
        with pytest.raises(BadRequest, match="not valid for this vault"):
            await backups.restore(SOUTH, damaged, ORIGIN)
    with pytest.raises(Unavailable):
        await backups.restore(replace(SOUTH, world_id="no such world"), blob, ORIGIN)
    assert b"PRIVATE KEY" not in blob


async def test_a_body_of_a_newer_version_is_refused(on: Stage) -> None:
    at_name = (await on.made()).row
    async with on.database.read() as tx:
        name = await CERTIFICATES.name(tx, VAULT.id, at_name.name)
    assert name is not None
    scope = BackupScope(
        "certificate", VAULT.subscription_id, "local", VAULT.tenant_id, VAULT.kind.value, VAULT.world_id
    )
    newer = msgspec.msgpack.decode(bodies.encode(name, []))
    for body in (newer, newer | {"format": 2}, newer | {"policy": b"{}{"}, {}):
        blob = await seal_backup(on.sealer, scope, msgspec.msgpack.encode(body), created=1)
        with pytest.raises(BadRequest, match="not valid for this vault"):
            await backups_of(on).restore(SOUTH, blob, ORIGIN)


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_a_crash_at_the_commit_of_a_restore_leaves_all_three_or_none(on: Stage, point: str) -> None:
    class Crash(BaseException):
        pass

    await on.made()
    blob = await backups_of(on).backup(VAULT, "cert")

    def fault(where: str) -> None:
        if where == point:
            raise Crash

    on.database.fault = fault
    with pytest.raises(Crash):
        await backups_of(on).restore(SOUTH, blob, ORIGIN)
    on.database.fault = None
    if point == "commit:before":
        await backups_of(on).restore(SOUTH, blob, ORIGIN)
    await check_works(on, SOUTH)


async def test_hard_keys_travel_wrapped_and_need_a_premium_vault(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
) -> None:
    async with hard_stage(softhsm, tmp_path) as on:
        await add_south(on)
        await on.made(policy=HARD)
        blob = await backups_of(on).backup(VAULT, "cert")
        with pytest.raises(BadRequest, match="premium"):
            await backups_of(on).restore(replace(SOUTH, premium=False), blob, ORIGIN)
        restored = await backups_of(on).restore(SOUTH, blob, ORIGIN)
        assert restored.policy.key.hardware
        await check_works(on, SOUTH)


async def test_keys_that_never_leave_their_token_are_not_backed_up_and_go_with_the_certificate(
    softhsm: SoftToken,  # noqa: F811  # a fixture
    tmp_path: Path,
) -> None:
    async with hard_stage(softhsm, tmp_path, CustodyClass.RESIDENT) as on:
        resident = on.custodians.for_new(VAULT, hardware=True)
        before = len(await resident.objects())  # type: ignore[attr-defined]  # of this class of custody alone
        await on.made(policy=HARD)
        await on.create(policy=HARD)
        assert len(await resident.objects()) == before + 2  # type: ignore[attr-defined]  # as above
        with pytest.raises(BadRequest):
            await backups_of(on).backup(VAULT, "cert")
        await lives_of(on).delete(VAULT, "cert")
        await lives_of(on).purge(VAULT, "cert")
        assert len(await resident.objects()) == before  # type: ignore[attr-defined]  # as above
        assert await on.counts() == (0, 0, 0)

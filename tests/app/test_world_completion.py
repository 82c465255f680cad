"""A world gets its export key and its attestation key, whatever interrupts it."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from pkcs11 import Attribute, ObjectClass

from hsmvault.app import world_completion
from hsmvault.app.served_worlds import WorldParts, start_worlds
from hsmvault.app.world_completion import complete_world
from hsmvault.app.worlds import known_worlds
from hsmvault.clock import MovedClock, RandomIdentifiers, SystemClock
from hsmvault.config import Settings
from hsmvault.config.settings import Hsm, Server
from hsmvault.custody.attestation_certificate import pem
from hsmvault.custody.intents import Intents
from hsmvault.custody.protocols import Binding, CustodyClass
from hsmvault.custody.sealing import CacheLimits
from hsmvault.errors import BadRequest, HsmRefusal
from hsmvault.hsm import ceremony, objects
from hsmvault.hsm.inspection import Inspection, inspect_token
from hsmvault.hsm.module import Module, PinRefused
from hsmvault.hsm.pin import Pin
from hsmvault.hsm.work import WorkSession
from hsmvault.hsm.world_keys import ATTESTATION_KEY, EXPORT_KEY, WorldKey, locate
from hsmvault.model.algorithms import Curve, KeySpec
from hsmvault.model.worlds import ACTIVE, SystemKeyRow, WorldRow
from hsmvault.store import jobs, worlds
from hsmvault.store.changes import ChangeFeed
from hsmvault.store.database import Database
from hsmvault.store.migrations import migrate
from hsmvault.telemetry import Metrics
from tests.softhsm import MODULE_PATH, SoftToken, softhsm, softhsm_template  # noqa: F401  # fixtures

STEPS = ("make", "export key", "attestation key", "certificate", "sync", "commit")


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture
def module(softhsm: SoftToken) -> Iterator[Module]:  # noqa: F811  # the fixture
    with softhsm.loaded() as loaded:
        yield loaded


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/hsmvault.db"
    migrate(url)
    database = await Database.open(url, clock=SystemClock())
    yield database
    await database.close()


class Rig:
    """A world of an older installation, with its token and database."""

    def __init__(self, token: SoftToken, module: Module, database: Database, data_dir: Path) -> None:
        self.token, self.module, self.database = token, module, database
        self.clock = MovedClock()
        self.crash_at = ""
        self.steps: list[str] = []
        self.settings = Settings(
            server=Server(data_dir=data_dir), hsm=Hsm(module=Path(MODULE_PATH), softhsm_conf=token.configuration)
        )
        self.old = WorldRow(
            id=RandomIdentifiers().guid(),
            name="default",
            geography="local",
            token_label=token.selector.label or "",
            world_key_id=token.ids.world or b"",
            mac_key_id=token.ids.mac,
            custody="wrapped",
            created=1,
        )

    def fault(self, step: str) -> None:
        self.steps.append(step)
        if step == self.crash_at:
            raise Crash(step)

    async def complete(self, owner: str = "node-1", pin: Pin | None = None) -> WorldRow:
        return await complete_world(
            self.settings,
            self.database,
            self.module,
            self.clock,
            RandomIdentifiers(),
            await self.row(),
            pin=pin or self.token.user_pin,
            owner=owner,
            fault=self.fault,
        )

    async def row(self) -> WorldRow:
        async with self.database.read() as tx:
            row = await worlds.world(tx, "default")
        assert row is not None
        return row

    def ids_on_token(self) -> list[bytes]:
        """Of export keys and attestation keys."""
        found = []
        with ceremony.user_session(self.module, self.token.selector, self.token.user_pin) as work:
            for key in (EXPORT_KEY, ATTESTATION_KEY):
                search = {Attribute.CLASS: key.object_class, Attribute.LABEL: key.label}
                found += [one[Attribute.ID] for one in list(work.session.get_objects(search))]
            assert not list(work.session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY}))
        return found


@pytest.fixture
async def rig(softhsm: SoftToken, module: Module, database: Database, tmp_path: Path) -> Rig:  # noqa: F811  # the fixture
    rig = Rig(softhsm, module, database, tmp_path)
    async with database.write() as tx:
        await worlds.insert_world(tx, rig.old)
    return rig


async def good(rig: Rig) -> WorldRow:
    """The world is complete: its row names what is on the token, and the certificate is of the key that is there."""
    row = await rig.row()
    assert row.export_key_id and row.attestation_key_id and row.attestation_certificate
    assert rig.ids_on_token() == [row.export_key_id, row.attestation_key_id]
    certificate = x509.load_der_x509_certificate(row.attestation_certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    ids = dataclasses.replace(rig.token.ids, export=row.export_key_id, attestation=row.attestation_key_id)
    rig.token.ids = ids
    async with rig.token.started(rig.module) as token:

        def sign(work: WorkSession) -> bytes:
            locate(work, EXPORT_KEY, row.export_key_id or b"")
            found = locate(work, ATTESTATION_KEY, row.attestation_key_id or b"")
            return work.bind(found).sign(bytes(32), mechanism=pkcs11.Mechanism.ECDSA)

        signature = await token.run(sign)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key.verify(encode_dss_signature(r, s), bytes(32), ec.ECDSA(Prehashed(SHA256())))
    return row


async def test_a_world_without_them_gets_both_keys_and_a_certificate(rig: Rig) -> None:
    returned = await rig.complete()
    row = await good(rig)
    assert returned == row
    assert row == dataclasses.replace(
        rig.old,
        export_key_id=row.export_key_id,
        attestation_key_id=row.attestation_key_id,
        attestation_certificate=row.attestation_certificate,
    )
    assert rig.steps == [f"{when} {step}" for step in STEPS for when in ("before", "after")]
    certificate = x509.load_der_x509_certificate(row.attestation_certificate or b"")
    (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert "world default" in str(common.value)
    assert certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert certificate.not_valid_after_utc.year == 9999


async def test_a_complete_world_is_left_alone(rig: Rig) -> None:
    await rig.complete()
    row = await good(rig)
    rig.steps.clear()
    assert await rig.complete() == row
    assert not rig.steps


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_after_a_crash_the_next_start_goes_on_with_the_same_ids(rig: Rig, step: str, when: str) -> None:
    rig.crash_at = f"{when} {step}"
    with pytest.raises(Crash):
        await rig.complete()
    planned = await rig.row()
    before = rig.ids_on_token()
    rig.crash_at = ""
    await rig.complete()
    row = await good(rig)
    assert (row.export_key_id, row.attestation_key_id) == (planned.export_key_id, planned.attestation_key_id)
    assert set(before) <= {row.export_key_id, row.attestation_key_id}


async def test_two_nodes_do_not_make_them_at_once(rig: Rig) -> None:
    rig.crash_at = "before attestation key"
    with pytest.raises(Crash):
        await rig.complete("node-1")
    rig.crash_at = ""
    assert (await rig.complete("node-2")).attestation_certificate is None
    assert len(rig.ids_on_token()) == 1
    rig.clock.move(601)  # the first one never came back
    await rig.complete("node-2")
    await good(rig)


async def test_a_node_that_lost_its_lease_commits_no_certificate(rig: Rig) -> None:
    """It hung for longer than the lease; the other node has made the attestation key anew, on the same token."""
    real = world_completion._commit

    async def late(*arguments: object) -> None:
        rig.clock.move(601)
        now = int(rig.clock.now())
        async with rig.database.write() as tx:
            assert await jobs.acquire(tx, f"complete-world:{rig.old.id}", "node-2", now + 600, now)
        arguments = (*arguments[:-1], now)
        await real(*arguments)  # type: ignore[arg-type]  # as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_completion, "_commit", late)
        with pytest.raises(HsmRefusal, match="Another node has made the attestation key"):
            await rig.complete("node-1")
    assert (await rig.row()).attestation_certificate is None
    await rig.complete("node-2")
    await good(rig)


async def test_what_was_done_is_in_the_audit_log(rig: Rig) -> None:
    rig.crash_at = "before sync"
    with pytest.raises(Crash):
        await rig.complete()
    rig.crash_at = ""
    await rig.complete()
    await rig.complete()  # nothing is left to do
    lines = (rig.settings.audit_directory / "audit-start-000001.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [(one["operationName"], one["resultSignature"]) for one in records] == [
        ("WorldComplete", "Begun"),
        ("WorldComplete", "Begun"),
        ("WorldComplete", "OK"),
    ]


async def test_the_self_test_finds_a_certificate_of_another_key(rig: Rig) -> None:
    """Another key has the id: it was made anew, or the token is an older copy."""
    row = await rig.complete()
    assert row.attestation_key_id is not None
    ids = dataclasses.replace(rig.token.ids, export=row.export_key_id, attestation=row.attestation_key_id)

    def inspected() -> Inspection:
        certificate = row.attestation_certificate
        return inspect_token(rig.module, rig.token.selector, rig.token.user_pin, ids, certificate=certificate)

    inspected().require()
    with ceremony.user_session(rig.module, rig.token.selector, rig.token.user_pin) as work:
        ceremony.make_attestation_key(work, row.attestation_key_id)
    with pytest.raises(HsmRefusal, match=r"signs what its certificate verifies .*is of another key"):
        inspected().require()


async def test_a_worker_that_started_before_the_world_was_complete_attests_when_it_is(rig: Rig) -> None:
    """Another node completed it meanwhile."""
    clock, identifiers = SystemClock(), RandomIdentifiers()
    async with rig.database.write() as tx:
        system = rig.token.ids.system or b""
        await worlds.insert_system_key(tx, SystemKeyRow(system.hex(), rig.old.id, system, ACTIVE, 1))
    before = await known_worlds(rig.database)
    await rig.complete()
    feed = ChangeFeed(rig.database)
    intents = Intents(rig.database, "node-1", clock)
    parts = WorldParts(rig.settings, rig.database, feed, intents, clock, identifiers, Metrics())
    pin = rig.token.user_pin
    served = await start_worlds(parts, before, rig.module, pin, CacheLimits(), on_fatal=pytest.fail, may_be_down=False)
    try:
        custodian = served.default.custody.custodians[CustodyClass.WRAPPED]
        binding = Binding("c", "key", "name", "1" * 32)
        held = await custodian.generate(KeySpec.ec(Curve.P256), binding)
        with pytest.raises(BadRequest, match="cannot be attested"):
            await custodian.attest(held, binding)
        served.reload.ask()
        await served.reload.settled()
        attestation = await custodian.attest(held, binding)
        assert attestation.certificates == pem((await rig.row()).attestation_certificate or b"")
    finally:
        await served.reload.close()
        for token in served.tokens:
            await token.close()
        await feed.close()


async def test_two_nodes_that_start_together_agree(rig: Rig) -> None:
    done = await asyncio.gather(rig.complete("node-1"), rig.complete("node-2"))
    row = await good(rig)
    assert row in done


async def test_a_wrong_pin_is_tried_once_and_nothing_is_made(rig: Rig) -> None:
    with pytest.raises(PinRefused):
        await rig.complete(pin=Pin("wrong-pin"))
    assert (await rig.row()).attestation_certificate is None
    await rig.complete()
    await good(rig)


async def test_a_strange_key_with_a_planned_id_is_refused(rig: Rig) -> None:
    rig.crash_at = "before export key"
    with pytest.raises(Crash):
        await rig.complete()
    rig.crash_at = ""
    planned = await rig.row()
    with ceremony.user_session(rig.module, rig.token.selector, rig.token.user_pin) as work:
        work.session.generate_key(
            pkcs11.KeyType.AES, 256, template={Attribute.ID: planned.export_key_id, Attribute.TOKEN: True}
        )
    with pytest.raises(HsmRefusal, match="export key on the token is otherwise than asked"):
        await rig.complete()
    assert (await rig.row()).attestation_certificate is None


async def test_a_world_that_cannot_be_locked_gets_no_export_key(rig: Rig) -> None:
    rig.module.profile = msgspec.structs.replace(rig.module.profile, trusted_keys=False, custody=("resident",))
    row = await rig.complete()
    assert row.export_key_id is None
    assert row.attestation_certificate is not None
    assert rig.ids_on_token() == [row.attestation_key_id]


async def test_a_token_without_the_curve_gets_neither(rig: Rig) -> None:
    rig.module.profile = msgspec.structs.replace(rig.module.profile, curves=())
    assert await rig.complete() == rig.old
    assert rig.ids_on_token() == []


@pytest.mark.parametrize(
    "flags",
    [
        {Attribute.EXTRACTABLE: False},
        {Attribute.SENSITIVE: False},
        {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: False},
    ],
)
async def test_what_the_export_key_unwraps_is_sensitive_and_extractable_whatever_is_asked(
    rig: Rig, flags: dict[Attribute, bool]
) -> None:
    """The token forces the template of the export key."""
    row = await rig.complete()
    with ceremony.user_session(rig.module, rig.token.selector, rig.token.user_pin) as work:
        (found,) = objects.find(work, ObjectClass.SECRET_KEY, row.export_key_id or b"")
        export = work.hold(found, pkcs11.KeyType.AES)
        spec = KeySpec.ec(Curve.P256)
        pair = objects.generate_pair(work, spec, objects.Stay(leaves=True, exportable=True))
        blob = objects.wrap(work, export, pair.private)
        opened = {Attribute.TOKEN: False, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: True}
        arguments = (ObjectClass.SECRET_KEY, pkcs11.KeyType.GENERIC_SECRET, blob)
        work.bind(export).unwrap_key(*arguments, mechanism=objects.WRAPPING, capabilities=0, template=opened)
        with pytest.raises(pkcs11.PKCS11Error):
            work.bind(export).unwrap_key(
                *arguments, mechanism=objects.WRAPPING, capabilities=0, template={**opened, **flags}
            )
        with pytest.raises(pkcs11.PKCS11Error):
            found[Attribute.DECRYPT] = True
        with pytest.raises(pkcs11.PKCS11Error):
            found.copy({Attribute.DECRYPT: True})


@pytest.mark.parametrize("key", [EXPORT_KEY, ATTESTATION_KEY], ids=["export key", "attestation key"])
async def test_the_self_test_names_a_key_that_is_not_there_any_more(rig: Rig, key: WorldKey) -> None:
    """A complete world is not completed again: another key with that id would hide the loss."""
    row = await rig.complete()
    there = dataclasses.replace(rig.token.ids, export=row.export_key_id, attestation=row.attestation_key_id)
    lost = dataclasses.replace(there, **{"export" if key is EXPORT_KEY else "attestation": bytes(16)})
    inspect_token(rig.module, rig.token.selector, rig.token.user_pin, there).require()
    with pytest.raises(HsmRefusal, match=f"{key.name}: found, flags as they must be .*is not found"):
        inspect_token(rig.module, rig.token.selector, rig.token.user_pin, lost).require()

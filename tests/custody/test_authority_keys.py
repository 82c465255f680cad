"""The keys of our certificate authorities: made once, agreed on by all, bound to their rows, never changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from hsmvault.app.reconciliation import claimed_objects, reconcile
from hsmvault.app.world_key_rotation import wrapped_by_generation
from hsmvault.app.worlds import KnownWorld
from hsmvault.custody.authority_certificates import mismatch, new_serial
from hsmvault.custody.protocols import CustodyClass, HeldKey
from hsmvault.custody.reference import decode_wrapped
from hsmvault.custody.resident import ResidentCustodian
from hsmvault.errors import Unavailable
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS, Curve, KeySpec
from hsmvault.model.authorities import AuthorityRole, NameConstraints
from hsmvault.model.worlds import ACTIVE, SystemKeyRow
from hsmvault.resources.key_cache import binding_of
from hsmvault.store import authorities as store
from hsmvault.store import worlds
from hsmvault.store.database import Conflicted
from tests.custody.test_statement_keys import NEXT_WORLD_KEY, adopt, stage_with_next_world_key, switch
from tests.resources.authority_stage import RULES, certificate, keys_of, openssl, pem
from tests.resources.stage import WORLD_ID, Stage, stage
from tests.softhsm import SoftToken, softhsm, softhsm_for_module, softhsm_template

__all__ = ["softhsm", "softhsm_for_module", "softhsm_template"]

ROOT, ISSUING = AuthorityRole.ROOT, AuthorityRole.ISSUING
YEAR = 365 * 86_400


@pytest_asyncio.fixture
async def on(softhsm_for_module: SoftToken, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(softhsm_for_module, tmp_path / "hsmvault.db") as made:
        yield made


async def test_the_root_signs_itself_and_the_issuing_certificate(on: Stage, tmp_path: Path) -> None:
    made = await keys_of(on).current()
    root, issuing = made.root.certificate, made.issuing.certificate
    root.verify_directly_issued_by(root)
    issuing.verify_directly_issued_by(root)
    assert root.subject.rfc4514_string() == RULES.root_subject
    assert issuing.subject.rfc4514_string() == RULES.subject
    for one, length in ((root, 1), (issuing, 0)):
        constraints = one.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value == x509.BasicConstraints(ca=True, path_length=length)
        usage = one.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert one.not_valid_before_utc.timestamp() == on.clock.now() - 600
        assert one.serial_number.bit_length() == 127
    assert 9.9 < (issuing.not_valid_after_utc.timestamp() - on.clock.now()) / YEAR < 10.1
    assert 19.9 < (root.not_valid_after_utc.timestamp() - on.clock.now()) / YEAR < 20.1
    root_file = pem(tmp_path / "root.pem", made.root.certificate_der)
    issuing_file = pem(tmp_path / "issuing.pem", made.issuing.certificate_der)
    openssl("verify", "-x509_strict", "-no_check_time", "-CAfile", root_file, issuing_file)


async def test_an_authority_is_made_once_and_stays_over_restarts(on: Stage) -> None:
    first = await keys_of(on).current()
    again = await keys_of(on).current()
    assert again.root.certificate_der == first.root.certificate_der
    assert again.issuing.certificate_der == first.issuing.certificate_der


async def test_workers_that_make_an_authority_at_the_same_time_agree(on: Stage) -> None:
    made = await asyncio.gather(*(keys_of(on).current() for _ in range(3)))
    assert len({one.issuing.certificate_der for one in made}) == 1
    algorithm = SIGNATURE_ALGORITHMS["ES256"]
    signatures = [await one.issuing.signer.handle.sign(algorithm, bytes(32)) for one in made]
    assert all(len(one) == 64 for one in signatures)


async def test_resident_keys_are_claimed_and_nothing_is_left_of_those_who_were_late(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage(softhsm, tmp_path / "hsmvault.db", CustodyClass.RESIDENT) as on:
        await asyncio.gather(*(keys_of(on).current() for _ in range(3)))
        resident = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.RESIDENT]
        assert isinstance(resident, ResidentCustodian)
        objects = set(await resident.objects())
        assert len(objects) == 2
        assert objects == await claimed_objects(on.database)
        assert await on.intents.left_over() == []


async def test_a_resident_authority_that_cannot_be_stored_leaves_no_key_behind(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage(softhsm, tmp_path / "hsmvault.db", CustodyClass.RESIDENT) as on:
        commits = 0

        def full(point: str) -> None:
            nonlocal commits
            commits += point == "commit:before"
            if commits == 3:  # behind the intents of both keys
                raise Unavailable("The disk is full.")

        on.database.fault = full
        with pytest.raises(Unavailable):
            await keys_of(on).current()
        on.database.fault = None
        resident = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.RESIDENT]
        assert isinstance(resident, ResidentCustodian)
        assert list(await resident.objects()) == []
        await keys_of(on).current()
        assert set(await resident.objects()) == await claimed_objects(on.database)


async def test_what_a_crash_leaves_in_the_token_is_taken_away_at_the_next_start(
    softhsm: SoftToken, tmp_path: Path
) -> None:
    async with stage(softhsm, tmp_path / "hsmvault.db", CustodyClass.RESIDENT) as on:
        commits = 0

        def crash(point: str) -> None:
            nonlocal commits
            commits += point == "commit:before"
            if commits == 3:
                raise RuntimeError("killed")

        on.database.fault = crash
        with pytest.raises(RuntimeError):
            await keys_of(on).current()
        on.database.fault = None
        resident = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.RESIDENT]
        assert isinstance(resident, ResidentCustodian)
        assert len(await resident.objects()) == 2
        await reconcile(on.database, [resident], on.intents)
        assert list(await resident.objects()) == []
        await keys_of(on).current()
        await reconcile(on.database, [resident], on.intents)
        assert len(await resident.objects()) == 2


async def test_an_authority_outlives_the_rotation_of_the_world_key(softhsm: SoftToken, tmp_path: Path) -> None:
    async with stage_with_next_world_key(softhsm, tmp_path / "hsmvault.db") as on:
        before = await keys_of(on).current()
        older = on.world.world_key_id
        await switch(on)
        adopt(on)
        after = await keys_of(on).current()
        assert after.issuing.certificate_der == before.issuing.certificate_der
        for authority in (before, after):
            signature = await authority.issuing.signer.handle.sign(SIGNATURE_ALGORITHMS["ES256"], bytes(32))
            assert len(signature) == 64
        async with on.database.read() as tx:
            row = await worlds.world(tx, "default")
            generations = await worlds.older_world_keys(tx, WORLD_ID)
        assert row is not None
        key = SystemKeyRow(id="1", world_id=WORLD_ID, key_id=b"1", state=ACTIVE, created=1)
        wrapped = await wrapped_by_generation(on.database, KnownWorld(row, key, older=tuple(generations)))
        assert {key_id: one.own_keys for key_id, one in wrapped.items()} == {NEXT_WORLD_KEY: 0, older: 2}


async def test_a_row_of_another_authority_or_role_does_not_open(on: Stage) -> None:
    await keys_of(on).current()
    async with on.database.read() as tx:
        rows = await store.of_name(tx, RULES.name)
    swapped = {ROOT: replace(rows[ISSUING], role=ROOT), ISSUING: replace(rows[ROOT], role=ISSUING)}
    for copied, name in ((swapped, "swapped"), (rows, "other")):
        async with on.database.write() as tx:
            for row in copied.values():
                await store.insert(tx, replace(row, name=name))
        subjects = (RULES.subject, RULES.root_subject) if name == "swapped" else (RULES.root_subject, RULES.subject)
        rules = replace(RULES, name=name, root_subject=subjects[0], subject=subjects[1])
        authority = await keys_of(on, rules).current()
        for role in AuthorityRole:
            with pytest.raises(Unavailable) as caught:
                await authority.key(role).signer.handle.sign(SIGNATURE_ALGORITHMS["ES256"], bytes(32))
            assert caught.value.detail


async def test_no_key_of_a_vault_opens_an_authority(on: Stage) -> None:
    await keys_of(on).current()
    async with on.database.read() as tx:
        row = (await store.of_name(tx, RULES.name))[ISSUING]
    custodian = on.custodians.worlds[WORLD_ID].custodians[CustodyClass.WRAPPED]
    held = HeldKey(CustodyClass.WRAPPED, row.spec, row.public, row.reference)
    handle = custodian.open(held, binding_of("authorities", "corp:issuing", row.version))
    with pytest.raises(Unavailable):
        await handle.sign(SIGNATURE_ALGORITHMS["ES256"], bytes(32))


async def test_the_keys_are_counted_under_their_world_key(on: Stage) -> None:
    await keys_of(on).current()
    async with on.database.read() as tx:
        references = await store.references(tx, "wrapped")
        assert await store.references(tx, "resident") == []
    assert [decode_wrapped(one).world_key_id for one in references] == [on.world.world_key_id] * 2


@pytest.mark.parametrize(
    "changed",
    [
        {"subject": "CN=Another"},
        {"root_subject": "CN=Another"},
        {"spec": KeySpec.ec(Curve.P384)},
        {"constraints": NameConstraints(permitted_dns=("example.com",))},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_what_its_certificates_say_never_changes(on: Stage, changed: dict[str, object]) -> None:
    before = await keys_of(on).current()
    rules = replace(RULES, **changed)  # type: ignore[arg-type]  # members of AuthorityRules
    async with on.database.read() as tx:
        rows = await store.of_name(tx, RULES.name)
    sentence = mismatch(rules, rows)
    assert sentence is not None
    assert "'corp'" in sentence
    with pytest.raises(Unavailable):
        await keys_of(on, rules).current()
    assert mismatch(RULES, rows) is None
    assert (await keys_of(on).current()).issuing.certificate_der == before.issuing.certificate_der


async def test_name_constraints_stand_in_the_issuing_certificate_as_critical(on: Stage) -> None:
    constraints = NameConstraints(
        permitted_dns=("example.com",),
        permitted_emails=("example.com", ".example.com"),
        excluded_emails=("root@example.com",),
        permitted_addresses=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        excluded_dns=("secret.example.com",),
    )
    made = await keys_of(on, replace(RULES, constraints=constraints)).current()
    found = certificate(made.issuing.certificate_der).extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    permitted = [one.value for one in found.value.permitted_subtrees or ()]
    assert permitted == ["example.com", "example.com", ".example.com", *constraints.permitted_addresses]
    assert [one.value for one in found.value.excluded_subtrees or ()] == ["secret.example.com", "root@example.com"]
    with pytest.raises(x509.ExtensionNotFound):
        made.root.certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert (await keys_of(on, replace(RULES, constraints=constraints)).current()) is not None


@pytest.mark.slow
@pytest.mark.parametrize("spec", [KeySpec.ec(Curve.P384), KeySpec.rsa(3072), KeySpec.rsa(4096)], ids=str)
async def test_every_type_of_key_makes_a_chain_that_openssl_takes(on: Stage, tmp_path: Path, spec: KeySpec) -> None:
    made = await keys_of(on, replace(RULES, spec=spec)).current()
    root_file = pem(tmp_path / "root.pem", made.root.certificate_der)
    issuing_file = pem(tmp_path / "issuing.pem", made.issuing.certificate_der)
    openssl("verify", "-x509_strict", "-no_check_time", "-CAfile", root_file, issuing_file)


def test_a_serial_number_is_positive_and_always_16_bytes_long() -> None:
    class Fixed:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def random(self, length: int) -> bytes:
            assert length == 16
            return self.content

        def version(self) -> str:
            raise NotImplementedError

        def guid(self) -> str:
            raise NotImplementedError

    for content in (bytes(16), b"\xff" * 16):
        serial = new_serial(Fixed(content))
        assert serial.bit_length() == 127


async def test_an_authority_has_each_key_once(on: Stage) -> None:
    await keys_of(on).current()
    async with on.database.read() as tx:
        row = (await store.of_name(tx, RULES.name))[ROOT]
    with pytest.raises(Conflicted):
        async with on.database.write() as tx:
            await store.insert(tx, row)

"""Certificates that are there, pending or deleted: read, listed, changed, and their keys and secrets with them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsmvault.clock import MovedClock
from hsmvault.errors import BadRequest, Conflict, Forbidden, NotFound
from hsmvault.model.certificate_policies import Action, CertificatePolicy, LifetimeAction
from hsmvault.model.certificates import Status
from hsmvault.model.lifecycle import Retention
from hsmvault.resources.certificates import CertificateChanges
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.keys import KEYS
from hsmvault.store.schedule import What
from hsmvault.store.secrets import SECRETS
from tests.jobs.certificate_rig import RENEW, CertificateNode, certificates_of, policy_of
from tests.jobs.rig import DAY, VAULT, installation

UNPROTECTED = replace(VAULT, retention=Retention(7))
UNKNOWN = policy_of(issuer="Unknown")


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[CertificateNode]:
    async with installation(tmp_path) as opener, certificates_of(await opener(MovedClock())) as node:
        yield node


async def enabled_rows(one: CertificateNode, version: str) -> tuple[bool, bool, bool]:
    certificate = (await one.certificates.get(VAULT, "site", version)).row
    async with one.node.database.read() as tx:
        key = await KEYS.version(tx, VAULT.id, "site", version)
        secret = await SECRETS.version(tx, VAULT.id, "site", version)
    assert key is not None
    assert secret is not None
    return certificate.enabled, key.enabled, secret.enabled


async def test_a_name_is_found_in_any_spelling_and_answered_in_its_own(one: CertificateNode) -> None:
    made = await one.create(name="Site")
    found = await one.certificates.get(VAULT, "sITE", made.row.version)
    assert found == made
    assert found.row.name == "Site"
    with pytest.raises(NotFound, match=r"\(name/id\) site/versions/0{32} was not found"):
        await one.certificates.get(VAULT, "site", "0" * 32)
    with pytest.raises(NotFound, match=r"\(name/id\) other was not found"):
        await one.certificates.get(VAULT, "other", None)


async def test_pending_certificates_are_read_by_name_and_listed_on_demand(one: CertificateNode) -> None:
    await one.create(name="b")
    for name in ("a", "c", "d", "e"):
        await one.begin(UNKNOWN, name)
    await one.create(name="f")
    pending = await one.certificates.get(VAULT, "a", None)
    assert (pending.row.certificate, pending.row.thumbprint, pending.row.enabled) == (b"", b"", False)
    assert pending.is_pending_open
    lists = {limit: [row.name for row in await one.certificates.page(VAULT, None, limit)] for limit in (1, 2, 3, 25)}
    assert lists == {1: ["b"], 2: ["b", "f"], 3: ["b", "f"], 25: ["b", "f"]}
    assert [row.name for row in await one.certificates.page(VAULT, "b", 1)] == ["f"]
    everything = await one.certificates.page(VAULT, None, 25, include_pending=True)
    assert [row.name for row in everything] == list("abcdef")
    assert [row.name for row in await one.certificates.page(VAULT, "a", 2, include_pending=True)] == ["b", "c"]
    for name in "abcdef":
        await one.certificates.delete(VAULT, name)
    for limit, expected in ((1, ["b"]), (2, ["b", "f"]), (25, ["b", "f"])):
        assert [one.row.name for one in await one.certificates.deleted_page(VAULT, None, limit)] == expected
    deleted = await one.certificates.deleted_page(VAULT, "b", 3, include_pending=True)
    assert [one.row.name for one in deleted] == ["c", "d", "e"]


async def test_versions_are_listed_without_the_pending_one(one: CertificateNode) -> None:
    first = await one.create()
    second = await one.create()
    await one.begin(UNKNOWN)
    pages = [await one.certificates.version_page(VAULT, "site", after, 1) for after in (None, first.row.sequence)]
    assert [[row.version for row in page] for page in pages] == [[first.row.version], [second.row.version]]
    assert await one.certificates.version_page(VAULT, "site", second.row.sequence, 1) == []
    assert await one.certificates.version_page(VAULT, "other", None, 25) == []
    latest = await one.certificates.get(VAULT, "site", None)
    assert latest.row.version == second.row.version


async def test_a_version_is_disabled_with_its_key_and_its_secret_alone(one: CertificateNode) -> None:
    first, second = await one.create(), await one.create()
    one.node.clock.move(60)
    changed = await one.certificates.update(VAULT, "site", first.row.version, CertificateChanges(enabled=False))
    assert (changed.row.enabled, changed.row.updated, changed.row.tags) == (False, one.now(), {"a": "b"})
    assert await enabled_rows(one, first.row.version) == (False, False, False)
    assert await enabled_rows(one, second.row.version) == (True, True, True)
    tagged = await one.certificates.update(VAULT, "site", first.row.version, CertificateChanges(tags={"c": "d"}))
    assert (tagged.row.enabled, tagged.row.tags) == (False, {"c": "d"})
    assert tagged.row.certificate == first.row.certificate
    await one.certificates.update(VAULT, "site", first.row.version, CertificateChanges(enabled=True))
    assert await enabled_rows(one, first.row.version) == (True, True, True)
    with pytest.raises(NotFound):
        await one.certificates.update(VAULT, "other", None, CertificateChanges(enabled=False))


async def test_what_is_pending_gets_its_changes_when_it_comes(one: CertificateNode) -> None:
    await one.begin()
    changed = await one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=True, tags={"c": "d"}))
    assert (changed.row.enabled, changed.row.tags) == (False, {"c": "d"})
    await one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=False))
    await one.issuance.advance(VAULT, "site")
    made = (await one.certificates.get(VAULT, "site", None)).row
    assert (made.is_pending, made.enabled, made.tags) == (False, False, {"c": "d"})
    assert await enabled_rows(one, made.version) == (False, False, False)


async def test_the_policy_is_changed_for_the_next_version_and_the_schedule_follows(one: CertificateNode) -> None:
    made = await one.create()
    expires = made.row.expires or 0
    assert await one.scheduled() == {What.NEAR_EXPIRY: expires - 30 * DAY, What.EXPIRED: expires}
    one.node.clock.move(60)

    def to_renew(policy: CertificatePolicy) -> CertificatePolicy:
        return replace(
            policy, actions=(LifetimeAction(Action.AUTO_RENEW, days_before_expiry=40),), created=1, updated=1
        )

    policy = await one.certificates.update_policy(VAULT, "SITE", to_renew)
    assert (policy.created, policy.updated) == (made.policy.created, one.now())
    assert await one.certificates.get_policy(VAULT, "site") == policy
    assert (await one.scheduled())[What.RENEW] == expires - 40 * DAY
    assert await one.scheduled("keys") == {What.NEAR_EXPIRY: expires - 30 * DAY, What.EXPIRED: expires}
    both = await one.certificates.update(
        VAULT, "site", made.row.version, CertificateChanges(enabled=False, policy=lambda _: policy_of(RENEW))
    )
    assert both.policy.actions == (RENEW,)
    assert What.RENEW not in await one.scheduled()
    operation = await one.operation()
    assert operation is not None
    assert operation.policy.actions == ()  # what was made was made as it was asked for


async def test_a_policy_that_is_refused_changes_nothing(one: CertificateNode) -> None:
    made = await one.create()

    def refuse(_: CertificatePolicy) -> CertificatePolicy:
        raise BadRequest("no")

    for change in (
        one.certificates.update_policy(VAULT, "site", refuse),
        one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=False, policy=refuse)),
    ):
        with pytest.raises(BadRequest):
            await change
    assert await one.certificates.get(VAULT, "site", None) == made
    with pytest.raises(NotFound):
        await one.certificates.update_policy(VAULT, "other", lambda policy: policy)
    with pytest.raises(NotFound):
        await one.certificates.get_policy(VAULT, "other")


async def test_a_deleted_certificate_takes_its_key_and_secret_along_and_brings_them_back(one: CertificateNode) -> None:
    made = await one.create(policy_of(RENEW))
    before = await one.scheduled()
    deleted = await one.certificates.delete(VAULT, "Site")
    assert deleted == await one.certificates.get_deleted(VAULT, "site")
    assert (deleted.row, deleted.policy) == (made.row, made.policy)
    with pytest.raises(NotFound):
        await one.certificates.get(VAULT, "site", None)
    with pytest.raises(NotFound):
        await one.certificates.delete(VAULT, "site")
    with pytest.raises(NotFound):
        await one.secrets.get(VAULT, "site", None)
    assert (await one.node.keys.get_deleted(VAULT, "site")).purge_at == deleted.purge_at
    assert (await one.secrets.get_deleted(VAULT, "site")).purge_at == deleted.purge_at
    with pytest.raises(Conflict):
        await one.begin()
    assert await one.scheduled() == await one.scheduled("keys") == await one.scheduled("secrets") == {}
    assert await one.certificates.recover(VAULT, "site") == made
    assert await one.scheduled() == before
    assert (await one.secrets.get(VAULT, "site", made.row.version)).row.managed
    for call in (one.certificates.recover, one.certificates.get_deleted, one.certificates.purge):
        with pytest.raises(NotFound, match="Deleted Certificate not found: site"):
            await call(VAULT, "site")


async def test_deleting_a_pending_certificate_cancels_it_and_recovering_brings_it_back(one: CertificateNode) -> None:
    begun = await one.begin(UNKNOWN)
    await one.certificates.delete(VAULT, "site")
    operation = await one.operation()
    assert operation is not None
    assert operation.status is Status.CANCELLED
    back = await one.certificates.recover(VAULT, "site")
    assert (back.row.version, back.row.is_pending) == (begun.version, True)
    made = await one.create()  # takes its place
    assert [row.version for row in await one.versions()] == [made.row.version]
    assert await one.counts() == (1, 1, 1)


async def test_an_issuer_that_comes_back_to_a_deleted_certificate_changes_nothing(one: CertificateNode) -> None:
    begun = await one.begin()
    await one.certificates.delete(VAULT, "site")
    with pytest.raises(Conflict):
        await one.completion.complete(VAULT, begun, [])
    assert await one.issuance.advance(VAULT, "site") is Status.CANCELLED
    assert (await one.certificates.get_deleted(VAULT, "site")).row.is_pending


async def test_a_purged_certificate_leaves_nothing(one: CertificateNode) -> None:
    await one.create()
    await one.begin(UNKNOWN)
    await one.certificates.delete(VAULT, "site")
    with pytest.raises(Forbidden, match="purge protection"):
        await one.certificates.purge(VAULT, "site")
    await one.certificates.purge(UNPROTECTED, "site")
    assert await one.counts() == (0, 0, 0)
    assert await one.operation() is None
    await one.create()


async def test_a_purge_that_is_not_due_does_nothing(one: CertificateNode) -> None:
    await one.create()

    async def record(_: object) -> None:
        raise AssertionError

    assert not await one.certificates.purge_when_due(VAULT, "site", one.now(), record)
    await one.certificates.delete(VAULT, "site")
    assert not await one.certificates.purge_when_due(VAULT, "site", one.now() + 7 * DAY - 1, record)
    await one.certificates.recover(VAULT, "site")
    assert not await one.certificates.purge_when_due(VAULT, "site", one.now() + 8 * DAY, record)
    assert not await one.certificates.purge_when_due(VAULT, "other", one.now(), record)


class Crash(BaseException):
    """The process dies here: nobody catches this."""


@pytest.mark.parametrize("point", ["commit:before", "commit:after"])
async def test_a_crash_at_the_commit_of_a_change_leaves_the_three_in_step(one: CertificateNode, point: str) -> None:
    def fault(where: str) -> None:
        if where == point:
            raise Crash

    async def state() -> list[object]:
        async with one.node.database.read() as tx:
            names = [await store.name(tx, VAULT.id, "site") for store in (CERTIFICATES, KEYS, SECRETS)]
        return [None if name is None else (name.deleted_at, name.purge_at) for name in names]

    await one.create()
    changes = (
        lambda: one.certificates.update(VAULT, "site", None, CertificateChanges(enabled=False)),
        lambda: one.certificates.delete(VAULT, "site"),
        lambda: one.certificates.recover(VAULT, "site"),
        lambda: one.certificates.delete(VAULT, "site"),
        lambda: one.certificates.purge(UNPROTECTED, "site"),
    )
    for change in changes:
        before = await state()
        one.node.database.fault = fault
        with pytest.raises(Crash):
            await change()
        one.node.database.fault = None
        after = await state()
        assert after[0] == after[1] == after[2]
        if point == "commit:before":
            assert after == before
            await change()
    assert await one.counts() == (0, 0, 0)

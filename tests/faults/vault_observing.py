"""What a process finds of a secret, or of a certificate with its key and its secret, after another one was killed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hsmvault.custody.protocols import Binding
from hsmvault.jobs.issuance import AdvanceIssuance
from hsmvault.model.algorithms import SIGNATURE_ALGORITHMS
from hsmvault.model.certificates import (
    CertificateIssuer,
    CertificateName,
    CertificateOperation,
    CertificateVersion,
    Contact,
    Status,
)
from hsmvault.model.containers import Container
from hsmvault.model.keys import KeyName, KeyVersion
from hsmvault.model.operations import Kind
from hsmvault.model.secrets import SecretName, SecretVersion
from hsmvault.resources import certificate_schedule, key_cache, secret_cache, secret_schedule
from hsmvault.resources.certificate_issuers.registry import password_binding
from hsmvault.resources.key_cache import held_by
from hsmvault.store import authorities, certificate_issuers, certificate_operations, intents, mails, outbox, schedule
from hsmvault.store.certificates import CERTIFICATES
from hsmvault.store.database import Transaction
from hsmvault.store.keys import KEYS
from hsmvault.store.schedule import What
from hsmvault.store.secrets import SECRETS
from tests.faults import certificate_samples
from tests.faults import vault_actions as acts
from tests.faults.actions import NAME, Setup, run
from tests.faults.observing import State, strays
from tests.faults.parts import NODE, Parts
from tests.faults.samples import DIGEST
from tests.faults.vault_parts import AUTHORITY

_FOLDED = NAME.lower()
_KINDS = (Kind.CERTIFICATES, Kind.KEYS, Kind.SECRETS)
_SHARED = {What.NEAR_EXPIRY, What.EXPIRED}
_ES256 = SIGNATURE_ALGORITHMS["ES256"]


@dataclass(frozen=True)
class Found:
    """All rows of the name, in one snapshot. told: types and versions of the events of new versions."""

    certificate: CertificateName | None
    key: KeyName | None
    secret: SecretName | None
    certificates: Sequence[CertificateVersion]
    keys: Sequence[KeyVersion]
    secrets: Sequence[SecretVersion]
    operation: CertificateOperation | None
    due: Mapping[Kind, Mapping[What, int]]
    told: Counter[tuple[str, str]]
    intents: int
    issuer: CertificateIssuer | None
    contacts: Sequence[Contact]
    mails: int


async def find(parts: Parts, container: Container) -> Found:
    async with parts.database.read() as tx:
        place = (tx, container.id, NAME)
        return Found(
            await CERTIFICATES.name(*place),
            await KEYS.name(*place),
            await SECRETS.name(*place),
            await CERTIFICATES.all_versions(*place),
            await KEYS.all_versions(*place),
            await SECRETS.all_versions(*place),
            await certificate_operations.find_any(*place),
            {kind: await schedule.of_object(tx, container.id, kind.value, _FOLDED) for kind in _KINDS},
            await _told(tx),
            len(await intents.of_owner(tx, NODE)),
            await certificate_issuers.find(tx, container.id, acts.ISSUER),
            await certificate_issuers.contacts(tx, container.id),
            len(await mails.due(tx, int(parts.clock.now()), 1, 1000)),
        )


async def observe_secret(parts: Parts, container: Container) -> State:
    """Every value is there and opens, one version is the newest, and the schedule is its own."""
    found = await find(parts, container)
    at_name, rows = found.secret, found.secrets
    assert (found.certificate, found.key) == (None, None)
    if at_name is None:
        assert not rows and not found.due[Kind.SECRETS]
    else:
        assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
        assert (at_name.latest_version, at_name.next_sequence) == (rows[-1].version, len(rows) + 1)
        due = {} if at_name.is_deleted else secret_schedule.due_of(container, rows[-1])
        assert found.due[Kind.SECRETS] == due
    if at_name is not None and not at_name.is_deleted and rows[-1].enabled:
        assert (await parts.vault.secrets.get(container, NAME, None)).value == await _value(parts, rows[-1])
    summaries = tuple([f"{await _value(parts, row)} {row.enabled} {row.content_type} {row.tags}" for row in rows])
    return await _state(parts, found, _life(at_name), summaries, {Kind.SECRETS}, [row.version for row in rows])


async def observe_certificate(parts: Parts, container: Container) -> State:
    """The three objects of the name are of one version each, pending or published, with one life; what is published
    works, and what is pending has an operation."""
    found = await find(parts, container)
    names = (found.certificate, found.key, found.secret)
    summaries: list[str] = []
    if found.certificate is None:
        assert names == (None, None, None)
        assert not (found.certificates or found.keys or found.secrets or found.operation)
        assert not any(found.due.values())
    else:
        _require_names(found)
        for rows in zip(found.certificates, found.keys, found.secrets, strict=True):
            summaries.append(await _require_version(parts, container, found.certificate, *rows))
        _require_operation(found)
        _require_due(container, found)
    state = await _state(
        parts,
        found,
        _life(found.certificate),
        tuple(summaries),
        set(_KINDS),
        [row.version for row in found.certificates if not row.is_pending],
    )
    if found.issuer is not None and found.issuer.password is not None:
        await parts.vault.sealer.open(found.issuer.password, password_binding(container.id, found.issuer.name))
    return state


async def require_secret_usable(parts: Parts, setup: Setup, state: State) -> None:
    """Whatever the crash left, life goes on."""
    secrets = parts.vault.secrets
    if state.life == "deleted":
        await secrets.recover(setup.container, NAME)
        await observe_secret(parts, setup.container)
        await secrets.delete(setup.container, NAME)
        await secrets.purge(setup.container, NAME)
    await acts.set_secret(parts, setup, "goes on")
    assert (await secrets.get(setup.container, NAME, None)).value == "goes on"
    await observe_secret(parts, setup.container)


async def require_certificate_usable(parts: Parts, setup: Setup, state: State) -> None:
    """An operation that was under way comes to its end by itself, or by the merge that it waits for; then life goes on.
    It is some minutes later, so that nobody has a claim any more."""
    container, vault = setup.container, parts.vault
    before = await find(parts, container)
    operation = before.operation
    if state.life == "active" and operation is not None and operation.status is Status.IN_PROGRESS:
        wanted = Status.CANCELLED if operation.cancellation_requested else Status.COMPLETED
        if operation.policy.issuer.is_unknown and not operation.cancellation_requested:
            await acts.merge(parts, setup)
        else:
            await run(AdvanceIssuance(parts.database, vault.issuance, parts.clock))
        ended = (await find(parts, container)).operation
        assert ended is not None
        assert (ended.request_id, ended.status) == (operation.request_id, wanted)
        await observe_certificate(parts, container)
    if state.life == "deleted":
        await acts.recover(parts, setup)
        await observe_certificate(parts, container)
        await acts.delete(parts, setup)
        await acts.purge(parts, setup)
        assert (await observe_certificate(parts, container)).life == "absent"
    await acts.issued(parts, setup)
    after = await observe_certificate(parts, container)
    assert (after.strays, after.intents) == (0, 0)
    assert sum("pending" in version for version in after.versions) == 0


def _require_names(found: Found) -> None:
    lives = {
        (name.name, name.latest_version, name.next_sequence, name.deleted_at, name.purge_at)
        for name in (found.certificate, found.key, found.secret)
        if name is not None
    }
    assert len(lives) == 1 and None not in (found.key, found.secret), lives
    published = [row.version for row in found.certificates if not row.is_pending]
    assert found.certificate is not None
    assert found.certificate.latest_version == (published or [found.certificates[0].version])[-1]
    sequences = [row.sequence for row in found.certificates]
    assert sequences == [row.sequence for row in found.keys] == [row.sequence for row in found.secrets]
    assert sequences == sorted(set(sequences))
    assert sequences[-1] < found.certificate.next_sequence


async def _require_version(
    parts: Parts,
    container: Container,
    at_name: CertificateName,
    row: CertificateVersion,
    key: KeyVersion,
    secret: SecretVersion,
) -> str:
    """What it is, once it has shown that the three belong together and do what they are for."""
    assert row.version == key.version == secret.version
    assert key.managed and secret.managed
    assert row.enabled == key.enabled == secret.enabled
    assert (row.not_before, row.expires) == (key.not_before, key.expires) == (secret.not_before, secret.expires)
    value = await _value(parts, secret)
    custodian = parts.custodians.holding(container, key.custody)
    handle = custodian.open(held_by(key), key_cache.binding_of(container.id, key.name, key.version))
    assert len(await handle.sign(_ES256, DIGEST)) == 64
    if row.is_pending:
        assert (row.enabled, row.certificate, value) == (False, b"", "")
        return f"pending {key.wire_type} {row.tags}"
    private, certificates = certificate_samples.opened(value)
    assert certificates[0] == row.certificate
    assert certificate_samples.public_of(row.certificate) == key.public
    assert private == (None if key.hardware else key.public)
    if len(certificates) > 2:  # from an authority of our own, which keeps a record of what it issues
        serial = f"{certificate_samples.serial_of(row.certificate):032x}"
        async with parts.database.read() as tx:
            assert await authorities.find(tx, AUTHORITY.name, serial) is not None
    if not at_name.is_deleted and row.enabled:
        signed = await parts.operations.sign(container, NAME, row.version, "ES256", DIGEST)
        assert await parts.operations.verify(container, NAME, row.version, "ES256", DIGEST, signed.value)
        assert (await parts.vault.secrets.get(container, NAME, row.version)).value == value
    what = f"{key.wire_type} {key.operations} {secret.content_type} {len(certificates)}"
    return f"published {row.enabled} {row.tags} {row.subject} {what}"


def _require_operation(found: Found) -> None:
    """What is pending is an operation's, and one that is over has no rows but those of what it was to be."""
    pending = [row.version for row in found.certificates if row.is_pending]
    operation = found.operation
    if operation is None:
        assert not pending
    elif operation.status is Status.COMPLETED:
        assert not pending
        assert operation.version in {row.version for row in found.certificates}
    else:
        assert pending == [operation.version] == [found.certificates[-1].version]


def _require_due(container: Container, found: Found) -> None:
    assert found.certificate is not None
    expected: dict[What, int] = {}
    if not found.certificate.is_deleted:
        latest = {row.version: row for row in found.certificates}[found.certificate.latest_version]
        expected = certificate_schedule.due_of(container, found.certificate.policy, latest)
    shared = {what: time for what, time in expected.items() if what in _SHARED}
    assert found.due[Kind.KEYS] == found.due[Kind.SECRETS] == shared
    found_now = dict(found.due[Kind.CERTIFICATES])
    found_now.pop(What.RENEWED, None)
    if What.RENEW in found_now and What.RENEW in expected:  # moved on, while it is looked after
        assert found_now[What.RENEW] >= expected[What.RENEW]
        found_now[What.RENEW] = expected[What.RENEW]
    assert found_now == expected


async def _state(
    parts: Parts, found: Found, life: str, versions: tuple[str, ...], kinds: set[Kind], published: list[str]
) -> State:
    """published: versions that are to have an event for each of the kinds."""
    there = {(f"{kind.value[:-1].capitalize()}NewVersionCreated", version) for kind in kinds for version in published}
    assert all(times == 1 for times in found.told.values()), "a version is told twice"
    return State(
        life,
        versions,
        "" if found.certificate is None else str(found.certificate.policy.actions),
        len(there - set(found.told)),
        len(set(found.told) - there),
        await strays(parts),
        found.intents,
        0,
        _operation(found),
    )


def _operation(found: Found) -> str:
    one, renewed = found.operation, What.RENEWED in found.due[Kind.CERTIFICATES]
    operation = "" if one is None else f"{one.status} {one.cancellation_requested} {one.enabled} {one.is_renewal}"
    issuer = "" if found.issuer is None else f"{found.issuer.provider} {found.issuer.account_id}"
    return f"{operation} {renewed} {issuer} {[contact.email for contact in found.contacts]} {found.mails}"


async def _told(tx: Transaction) -> "Counter[tuple[str, str]]":
    events = [event for _, event in await outbox.page(tx, 0, 1000)]
    return Counter((event.type, event.version) for event in events if event.type.endswith("NewVersionCreated"))


async def _value(parts: Parts, row: SecretVersion) -> str:
    binding: Binding = secret_cache.binding_of(row.container_id, row.name, row.version)
    return (await parts.vault.sealer.open(row.sealed, binding)).decode()


def _life(at_name: CertificateName | SecretName | None) -> str:
    return "absent" if at_name is None else "deleted" if at_name.is_deleted else "active"

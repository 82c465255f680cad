"""What is to happen to a certificate by itself: renewal, mail to the contacts, and the events before and at its end
(object_schedule.py).

Its key and its secret end with it: they have their places in the schedule too, and their own events.

A renewal is no moment but an effort: its row stays, moved on, until there is a new version (jobs/renewal.py).
"""

from typing import Final

from hsmvault.clock import Identifiers
from hsmvault.model.certificate_policies import Action, CertificatePolicy
from hsmvault.model.certificates import CertificateVersion
from hsmvault.model.containers import Container
from hsmvault.model.operations import Kind
from hsmvault.model.rotation import near_expiry
from hsmvault.resources import object_schedule
from hsmvault.store import schedule
from hsmvault.store.database import Transaction
from hsmvault.store.schedule import What

_AT_ONCE: Final = 0  # whatever time the jobs go by
_KINDS: Final = (Kind.CERTIFICATES, Kind.KEYS, Kind.SECRETS)


def due_of(container: Container, policy: CertificatePolicy, latest: CertificateVersion) -> dict[What, int]:
    """Everything that is to happen to a certificate whose latest version this is, and when.

    The lifetime actions rest while the certificate or its policy is disabled: what somebody took out of use does not
    come back by itself. Without an issuer that enrols there is nothing to renew with.
    """
    due: dict[What, int | None] = {}
    if latest.expires is None:  # it is pending
        return {}
    if container.has_events:
        due[What.NEAR_EXPIRY] = near_expiry(None, latest.expires)
        due[What.EXPIRED] = latest.expires
    if latest.enabled and policy.enabled:
        begins = latest.created if latest.not_before is None else latest.not_before
        due[What.EMAIL] = policy.due(Action.EMAIL_CONTACTS, begins, latest.expires)
        if not policy.issuer.is_unknown:
            due[What.RENEW] = policy.due(Action.AUTO_RENEW, begins, latest.expires)
    return {what: time for what, time in due.items() if time is not None}


async def begin(
    tx: Transaction,
    container: Container,
    policy: CertificatePolicy,
    latest: CertificateVersion,
    *,
    is_renewal: bool = False,
    told_until: int | None = None,
) -> None:
    """For a version that has become the latest, and for a certificate that is there again after it was deleted or
    restored; for its key and its secret too.

    policy: of the name. is_renewal: the version came by itself, and the contacts are told so. told_until: see
    object_schedule.begin. Seconds since 1970 UTC.
    """
    due = due_of(container, policy, latest)
    shared = {what: time for what, time in due.items() if what in object_schedule.TOLD}
    if told_until is not None and due.get(What.EMAIL, told_until) <= told_until:
        due.pop(What.EMAIL, None)
    if is_renewal:
        due[What.RENEWED] = _AT_ONCE
    for kind in _KINDS:
        times = due if kind is Kind.CERTIFICATES else shared
        await object_schedule.begin(tx, container, kind, latest.name, times, told_until=told_until)


async def follow(
    tx: Transaction,
    container: Container,
    before: tuple[CertificatePolicy, CertificateVersion],
    after: tuple[CertificatePolicy, CertificateVersion],
) -> None:
    """For a change of the policy or of the latest version. Its dates stay, and with them all that its key and its
    secret wait for."""
    old, new = due_of(container, *before), due_of(container, *after)
    if old == new:
        return
    name = after[1].name
    waiting = await schedule.of_object(tx, container.id, Kind.CERTIFICATES.value, name.lower())
    if What.RENEWED in waiting:
        old[What.RENEWED] = new[What.RENEWED] = waiting[What.RENEWED]
    await object_schedule.follow(tx, container, Kind.CERTIFICATES, name, old, new)


async def cancel(tx: Transaction, container: Container, name: str) -> None:
    """For a certificate that is deleted."""
    for kind in _KINDS:
        await object_schedule.cancel(tx, container, kind, name)


async def announce_new(
    tx: Transaction, container: Container, row: CertificateVersion, identifiers: Identifiers, now: int
) -> None:
    """That this version is new, and so are its key and its secret. now: seconds since 1970 UTC."""
    for kind in _KINDS:
        await object_schedule.announce(tx, container, kind, object_schedule.new_version(kind), row, identifiers, now)

"""Who asks for a token, proven: an application by one of its secrets, by a key of one of its certificates, or by a
token of another issuer that is registered with it.
"""

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from hsmvault.clock import Clock
from hsmvault.login import assertions, federation
from hsmvault.login.attempts import guid_or_empty
from hsmvault.login.federation import FederatedIssuers
from hsmvault.login.realms import Realm
from hsmvault.login.refusals import (
    APPLICATION_DISABLED,
    NO_PROOF,
    NO_TENANT,
    SECRET_EXPIRED,
    THROTTLED,
    UNKNOWN_APPLICATION,
    WRONG_SECRET,
    LoginRefused,
    malformed,
)
from hsmvault.login.requests import Form
from hsmvault.login.secrets import secret_matches
from hsmvault.login.throttle import Throttle, ThrottleKey, network_of
from hsmvault.model.directory import FederatedCredential
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind
from hsmvault.store import directory, federated_credentials
from hsmvault.store.database import Database

SECRET_STRENGTH = "1"  # noqa: S105 - the value of `appidacr` for a secret, not a secret
CERTIFICATE_STRENGTH = "2"


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client says it is and how it wants to prove it; one of secret and assertion is filled, or none."""

    client_id: str
    secret: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ProvenClient:
    """strength: `appidacr`. groups: object ids, through nested groups too. credential_id: of what proved it."""

    principal: Principal
    credential_id: str
    strength: str
    groups: frozenset[str]


def read_presented(form: Form, authorization: str) -> Presented:
    """From the form, or from HTTP Basic (RFC 6749, 2.3.1); never from both, never two proofs at once."""
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    if authorization:
        client_id, basic_secret = _read_basic(authorization)
        if secret or assertion or form.get("client_id") not in ("", client_id):
            raise malformed("Only one way of client authentication may be used.")
        return Presented(client_id, secret=basic_secret)
    client_id = form.require("client_id")
    if secret and assertion:
        raise malformed("Only one way of client authentication may be used.")
    if assertion and form.require("client_assertion_type") != assertions.ASSERTION_TYPE:
        raise malformed("The client assertion type is not supported.")
    return Presented(client_id, secret, assertion)


class Clients:
    """Proof of applications against the directory."""

    def __init__(
        self, *, database: Database, clock: Clock, throttle: Throttle, federated: FederatedIssuers | None = None
    ) -> None:
        """federated: the issuers whose tokens may prove an application that has registered them."""
        self._database = database
        self._clock = clock
        self._throttle = throttle
        self._federated = federated or {}

    async def prove(self, realm: Realm, presented: Presented, *, address: str) -> ProvenClient:
        """Raises LoginRefused with Entra's code for what is wrong."""
        if realm.tenant is None:
            raise LoginRefused(NO_TENANT)
        tenant_id, client_id = realm.tenant.id, guid_or_empty(presented.client_id)
        async with self._database.read() as tx:
            principal = await directory.by_application(tx, tenant_id, client_id) if client_id else None
            if principal is None or not _may_log_in(principal, presented):
                raise LoginRefused(UNKNOWN_APPLICATION, application=client_id, tenant=tenant_id)
            credentials = await directory.credentials_of(tx, client_id)
            records = await federated_credentials.of_application(tx, client_id) if presented.assertion else []
            groups = await directory.groups_of(tx, principal.object_id)
        key = ThrottleKey(client_id, network_of(address))
        try:
            credential_id, strength = await self._check(realm, presented, client_id, credentials, records)
        except LoginRefused:
            if wait := self._throttle.failed(key):
                raise LoginRefused(THROTTLED, retry_after_seconds=wait) from None
            raise
        self._throttle.succeeded(key)
        if not principal.enabled:
            raise LoginRefused(APPLICATION_DISABLED, application=client_id)
        return ProvenClient(principal, credential_id, strength, frozenset(groups))

    async def _check(
        self,
        realm: Realm,
        presented: Presented,
        client_id: str,
        credentials: list[Credential],
        records: list[FederatedCredential],
    ) -> tuple[str, str]:
        """The id of what proves it, and `appidacr`."""
        now = self._clock.now()
        if presented.assertion:
            assertion = assertions.parse(presented.assertion)
            if _is_of_another_issuer(assertion, client_id, credentials, records):
                record = await federation.verify(assertion, records=records, issuers=self._federated, now=now)
                return record.id, CERTIFICATE_STRENGTH
            audiences = realm.assertion_audiences()
            credential = assertions.verify(
                assertion, client_id=client_id, credentials=credentials, audiences=audiences, now=now
            )
            return credential.id, CERTIFICATE_STRENGTH
        if presented.secret:
            return _matching_secret(presented.secret, credentials, client_id, now).id, SECRET_STRENGTH
        raise LoginRefused(NO_PROOF)


def _may_log_in(principal: Principal, presented: Presented) -> bool:
    """A managed identity has no secret of its own; a user-assigned one may have federated credentials."""
    is_application = principal.kind is PrincipalKind.APPLICATION
    return is_application or (principal.kind is PrincipalKind.MANAGED_IDENTITY and bool(presented.assertion))


def _is_of_another_issuer(
    assertion: assertions.Assertion,
    client_id: str,
    credentials: list[Credential],
    records: list[FederatedCredential],
) -> bool:
    """Tokens of other issuers may name certificates too, their own; what names one of ours was signed with it."""
    if not assertion.thumbprint_sha1 and not assertion.thumbprint_sha256:
        return True
    if assertions.named_certificate(assertion, credentials) is not None or assertion.issuer.lower() == client_id:
        return False
    return bool(records)


def _matching_secret(presented: str, credentials: list[Credential], client_id: str, now: float) -> Credential:
    """Every secret is compared, also after one matched: the time taken tells only how many there are."""
    matching = [
        credential
        for credential in credentials
        if credential.kind is CredentialKind.SECRET and secret_matches(presented, credential.verifier)
    ]
    if not matching:
        raise LoginRefused(WRONG_SECRET, application=client_id)
    for credential in matching:
        if credential.is_good(now):
            return credential
    raise LoginRefused(SECRET_EXPIRED, application=client_id)


def _read_basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise malformed("The Authorization header is not supported here.")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise malformed("The Authorization header is malformed.") from None
    if not colon:
        raise malformed("The Authorization header is malformed.")
    return unquote_plus(client_id), unquote_plus(secret)

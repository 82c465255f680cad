"""Who asks for a token, proven: an application by one of its secrets or by a key of one of its certificates."""

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from hsmvault.clock import Clock
from hsmvault.login import assertions
from hsmvault.login.attempts import guid_or_empty
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
from hsmvault.login.throttle import Throttle, ThrottleKey
from hsmvault.model.principals import Credential, CredentialKind, Principal, PrincipalKind
from hsmvault.store import directory
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
    """strength: `appidacr`. groups: object ids, through nested groups too."""

    principal: Principal
    credential: Credential
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

    def __init__(self, *, database: Database, clock: Clock, throttle: Throttle) -> None:
        self._database = database
        self._clock = clock
        self._throttle = throttle

    async def prove(self, realm: Realm, presented: Presented, *, address: str) -> ProvenClient:
        """Raises LoginRefused with Entra's code for what is wrong."""
        if realm.tenant is None:
            raise LoginRefused(NO_TENANT)
        tenant_id, client_id = realm.tenant.id, guid_or_empty(presented.client_id)
        async with self._database.read() as tx:
            principal = await directory.by_application(tx, tenant_id, client_id) if client_id else None
            if principal is None or principal.kind is not PrincipalKind.APPLICATION:
                raise LoginRefused(UNKNOWN_APPLICATION, application=client_id, tenant=tenant_id)
            credentials = await directory.credentials_of(tx, client_id)
            groups = await directory.groups_of(tx, principal.object_id)
        key = ThrottleKey(client_id, address)
        try:
            credential, strength = self._check(realm, presented, client_id, credentials)
        except LoginRefused:
            if wait := self._throttle.failed(key):
                raise LoginRefused(THROTTLED, retry_after_seconds=wait) from None
            raise
        self._throttle.succeeded(key)
        if not principal.enabled:
            raise LoginRefused(APPLICATION_DISABLED, application=client_id)
        return ProvenClient(principal, credential, strength, frozenset(groups))

    def _check(
        self, realm: Realm, presented: Presented, client_id: str, credentials: list[Credential]
    ) -> tuple[Credential, str]:
        now = self._clock.now()
        if presented.assertion:
            credential = assertions.verify(
                assertions.parse(presented.assertion),
                client_id=client_id,
                credentials=credentials,
                audiences=realm.assertion_audiences(),
                now=now,
            )
            return credential, CERTIFICATE_STRENGTH
        if presented.secret:
            return _matching_secret(presented.secret, credentials, client_id, now), SECRET_STRENGTH
        raise LoginRefused(NO_PROOF)


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
        if not credential.expires or credential.expires > now:
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

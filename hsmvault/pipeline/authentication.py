"""Authentication: from an Authorization header to a Caller, or a refusal. There is no way around the signature.

Checked in this order: form and size, issuer, algorithm and key, signature, audience, times, tenant, and whether the
principal and the credential behind the token are still good. What a verified token proves is remembered under the
SHA-256 of the token; what can change afterwards (time, principal, credential, groups) is looked at on every use.

Sources: RFC 6750, RFC 7519, RFC 8725 (JWT best current practices), "access tokens" of the Microsoft identity platform.
"""

import hashlib
import re
from base64 import urlsafe_b64decode
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hsmvault.clock import Clock
from hsmvault.errors import RequestError, Unauthorized
from hsmvault.model.principals import Caller, PrincipalState
from hsmvault.model.strict_json import NotStrictJson, parse_object
from hsmvault.pipeline.issuers import Issuer, Issuers, VerificationKey

_LONGEST_TOKEN_BYTES = 8192
_LEEWAY_SECONDS = 60
_MOST_TOKENS = 16_384
_OUTSIDE_SECONDS = 3600.0  # an outside issuer's keys are fetched anew as often: a withdrawn one must not live on here
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_JWS = jwt.PyJWS()
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class Bearer(Protocol):
    """A call with a token to look at. authorization: the header as it came. resource: the audience of the plane.
    tenant_id: the only tenant that may call here; None for every tenant that is known."""

    @property
    def authorization(self) -> str | None: ...

    @property
    def resource(self) -> str: ...

    @property
    def tenant_id(self) -> str | None: ...


class Directory(Protocol):
    """What the embedded directory knows about a principal now, from a cache that follows changes."""

    async def state(self, tenant_id: str, object_id: str) -> PrincipalState | None: ...

    async def application_state(self, tenant_id: str, application_id: str) -> PrincipalState | None:
        """Of an application that people act through; None when the tenant knows no such application."""
        ...


@dataclass(frozen=True, slots=True)
class _Proved:
    """A token whose signature, issuer and form were checked once. not_before, expires, issued: seconds since 1970 UTC.

    proved_at: monotonic seconds.
    """

    issuer: Issuer
    audience: str
    caller: Caller
    not_before: float
    expires: float
    issued: float
    proved_at: float


class Authentication:
    def __init__(self, issuers: Issuers, directory: Directory, clock: Clock) -> None:
        self._issuers = issuers
        self._directory = directory
        self._clock = clock
        self._proved: OrderedDict[bytes, _Proved] = OrderedDict()
        self._epoch = 0
        self.hits = 0
        self.misses = 0

    def forget(self) -> None:
        """Keys or issuers have changed: check every token anew."""
        self._epoch += 1
        self._proved.clear()

    async def identify(self, call: Bearer) -> Caller:
        """Who calls. Raises Unauthorized in the service's words; Unavailable when the directory is out of reach."""
        token = _bearer(call.authorization)
        digest = hashlib.sha256(token.encode()).digest()
        proved = self._proved.get(digest)
        if proved is None or self._is_too_old(proved):
            self.misses += 1
            self._proved.pop(digest, None)
            epoch = self._epoch
            proved = await self._prove(token, call)
            if epoch == self._epoch:  # else: keys or issuers changed meanwhile, and it may rest on the old ones
                self._remember(digest, proved)
        else:
            self.hits += 1
        return await self._still_good(proved, call)

    async def caller_if_known(self, call: Bearer) -> Caller | None:
        """For refusals that name the caller although it was not let in."""
        try:
            return await self.identify(call)
        except RequestError:
            return None

    def _is_too_old(self, proved: _Proved) -> bool:
        """The embedded issuer's keys are followed; of an outside one's we hear nothing."""
        return not proved.issuer.embedded and self._clock.monotonic() - proved.proved_at >= _OUTSIDE_SECONDS

    def _remember(self, digest: bytes, proved: _Proved) -> None:
        self._proved[digest] = proved
        while len(self._proved) > _MOST_TOKENS:
            self._proved.popitem(last=False)

    async def _prove(self, token: str, call: Bearer) -> _Proved:
        if len(token) > _LONGEST_TOKEN_BYTES or not _FORM.fullmatch(token):
            raise Unauthorized("AKV10042: The bearer token is not a JSON web token in compact form.")
        header, claims = _read(token.partition(".")[0]), _read(token.split(".")[1])
        iss = claims.get("iss")
        issuer = self._issuers.find(iss)
        if issuer is None or (call.tenant_id is not None and issuer.tenant_id not in (None, call.tenant_id)):
            expected = ", ".join(self._issuers.names_for(call.tenant_id))
            raise Unauthorized(f"AKV10032: Invalid issuer. Expected one of {expected}, found {_shown(iss)}.")
        await self._check_signature(token, header, issuer)
        return self._accept(claims, issuer, call)

    async def _check_signature(self, token: str, header: dict[str, Any], issuer: Issuer) -> None:
        """The algorithm is ours to choose, the key comes from the issuer's configured key set, and nothing that the
        header says about keys (jwk, jku, x5c, x5u) is read."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms or "crit" in header or "b64" in header:
            raise Unauthorized("AKV10043: The token's signature algorithm is not accepted.")
        key = await issuer.keys.find(kid) if isinstance(kid, str) and len(kid) <= 256 else None
        if key is None:
            raise Unauthorized(
                "AKV10046: Unable to resolve the key used for signature validation. "
                f"EncodedJwtHeader: '{token.partition('.')[0][:512]}'."
            )
        if not _fits(key, algorithm):
            raise Unauthorized("AKV10043: The token's signature algorithm is not accepted.")
        try:
            _JWS.decode_complete(token, key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthorized("AKV10044: The token's signature is not valid.") from None

    def _accept(self, claims: dict[str, Any], issuer: Issuer, call: Bearer) -> _Proved:
        audience = claims.get("aud")
        accepted = issuer.audiences.get(call.resource, frozenset())
        if not isinstance(audience, str) or audience not in accepted:
            raise _wrong_audience(call, audience)
        if claims.get("nonce") is not None or claims.get("typ") in ("refresh", "Refresh", "ID"):
            raise Unauthorized("AKV10045: The token is not an access token.")
        expires, not_before = _seconds(claims, "exp"), _seconds(claims, "nbf", claims.get("iat", 0))
        names = issuer.claims
        tenant = issuer.tenant_id if names.tenant is None else _guid(claims.get(names.tenant))
        if tenant is None or issuer.tenant_id not in (None, tenant):
            raise Unauthorized("AKV10033: The token's tenant is not the tenant of its issuer.")
        application = next((claims[name] for name in names.application if isinstance(claims.get(name), str)), "")
        groups = claims.get(names.groups)
        caller = Caller(
            tenant_id=tenant,
            object_id=_principal(claims, issuer),
            application_id=application.lower()[:256],
            issuer=str(claims["iss"]),
            groups=frozenset(group.lower() for group in groups if isinstance(group, str))
            if isinstance(groups, list) and not issuer.embedded
            else frozenset(),
            delegated=isinstance(claims.get("scp"), str),
            expires=int(expires),
            token_id=_text(claims, "uti") or _text(claims, "jti"),
            name=_text(claims, "name"),
            upn=_text(claims, "upn") or _text(claims, "preferred_username"),
            credential_id=_text(claims, "cred"),
        )
        if caller.delegated is False and claims.get("idtyp") == "user":
            raise Unauthorized("AKV10047: The token of a user has no scope.")
        issued = _seconds(claims, "iat", not_before)
        return _Proved(issuer, audience, caller, not_before, expires, issued, self._clock.monotonic())

    async def _still_good(self, proved: _Proved, call: Bearer) -> Caller:
        issuer, caller = proved.issuer, proved.caller
        if call.tenant_id is not None and caller.tenant_id != call.tenant_id:
            expected = ", ".join(self._issuers.names_for(call.tenant_id))
            raise Unauthorized(f"AKV10032: Invalid issuer. Expected one of {expected}, found {caller.issuer}.")
        if proved.audience not in issuer.audiences.get(call.resource, frozenset()):
            raise _wrong_audience(call, proved.audience)
        now = self._clock.now()
        if now >= proved.expires + _LEEWAY_SECONDS:
            raise TokenRefused(
                "AKV10040: The token has expired.", in_pools="Token has expired", in_arm="ExpiredAuthenticationToken"
            )
        if now < proved.not_before - _LEEWAY_SECONDS:
            raise TokenRefused("AKV10041: Token not yet valid.", in_pools="Token not yet valid")
        if not issuer.embedded:
            return caller
        state = await self._directory.state(caller.tenant_id, caller.object_id)
        prover = state
        if caller.delegated:
            prover = await self._directory.application_state(caller.tenant_id, caller.application_id)
        if (
            state is None
            or not state.enabled
            or proved.issued < state.sessions_valid_from
            or prover is None
            or not prover.enabled
            or (caller.credential_id and caller.credential_id not in prover.credentials)
        ):
            raise Unauthorized("AKV10048: The principal or the credential behind the token is no longer valid.")
        return caller if state.groups == caller.groups else replace(caller, groups=state.groups)


class TokenRefused(Unauthorized):
    """in_pools: the text of managed HSM, where it has one of its own. in_arm: the code of the resource manager.
    audience: of a token that is for another, else "".
    """

    def __init__(
        self,
        message: str,
        *,
        in_pools: str | None = None,
        in_arm: str = "InvalidAuthenticationToken",
        audience: str = "",
    ) -> None:
        super().__init__(message)
        self.in_pools = in_pools
        self.in_arm = in_arm
        self.audience = audience


def _wrong_audience(call: Bearer, found: object) -> TokenRefused:
    expected, shown = call.resource, _shown(found)
    return TokenRefused(
        f"AKV10022: Invalid audience. Expected {expected}, found: {shown}.",
        in_pools=f"Found token with aud={shown}, but expected aud={expected}",
        in_arm="InvalidAuthenticationTokenAudience",
        audience=shown,
    )


def has_bearer(header: str | None) -> bool:
    """Whether there is a bearer token to look at. What a header holds beyond ASCII is not one."""
    if header is None or not header.isascii():
        return False
    scheme, _, token = header.partition(" ")
    return scheme.lower() == "bearer" and bool(token)


def _bearer(header: str | None) -> str:
    if header is None or not has_bearer(header):
        raise Unauthorized("AKV10000: Request is missing a Bearer or PoP token.")
    return header.partition(" ")[2]


def _fits(key: VerificationKey, algorithm: str) -> bool:
    """RS and PS need an RSA key, ES256, ES384 and ES512 a key on their own curve (RFC 7518, 3.4)."""
    if isinstance(key, RSAPublicKey):
        return algorithm.startswith(("RS", "PS"))
    return _CURVES.get(algorithm) == key.curve.name


def _read(part: str) -> dict[str, Any]:
    try:
        return parse_object(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (NotStrictJson, ValueError):
        raise Unauthorized("AKV10042: The bearer token is not a JSON web token in compact form.") from None


def _seconds(claims: dict[str, Any], name: str, default: object = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthorized(f"AKV10049: The token's claim '{name}' is missing or not a number.")
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        raise Unauthorized(f"AKV10049: The token's claim '{name}' is missing or not a number.") from None


def _guid(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise Unauthorized("AKV10050: The token does not name its principal.") from None


def _principal(claims: dict[str, Any], issuer: Issuer) -> str:
    """Permissions name GUIDs: an outside issuer's principal that is none gets one made of issuer and principal."""
    value = claims.get(issuer.claims.principal)
    if issuer.embedded or not isinstance(value, str) or not value:
        return _guid(value)
    try:
        return str(UUID(value))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"{claims['iss']}|{value}"))


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value[:256] if isinstance(value, str) else ""


def _shown(value: object) -> str:
    """A claim of a token that is not accepted, for the refusal: short and printable."""
    return "".join(character for character in str(value)[:256] if character.isprintable())

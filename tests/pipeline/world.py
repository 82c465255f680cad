"""An issuer whose private keys the test holds, a directory in memory, and calls to try them with."""

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from hsmvault.clock import MovedClock
from hsmvault.model import builtin_roles
from hsmvault.model.containers import Container, ContainerKind
from hsmvault.model.network import parse_address
from hsmvault.model.operations import BY_NAME
from hsmvault.model.principals import Caller, PrincipalState
from hsmvault.model.roles import RoleAssignment, RoleDefinition, folded
from hsmvault.model.subscriptions import Placement
from hsmvault.pipeline.authentication import Authentication
from hsmvault.pipeline.authorization import Authorization
from hsmvault.pipeline.azure_rbac import AzureRbac
from hsmvault.pipeline.call import Call
from hsmvault.pipeline.issuers import Issuer, Issuers, VerificationKey

TENANT = "22222222-0000-0000-0000-000000000001"
OTHER_TENANT = "22222222-0000-0000-0000-000000000002"
OBJECT_ID = "44444444-0000-0000-0000-000000000001"
APPLICATION_ID = "77777777-0000-0000-0000-000000000001"
CREDENTIAL_ID = "88888888-0000-0000-0000-000000000001"
LOGIN = "https://login.localhost:8443"
ISS = f"{LOGIN}/{TENANT}/"
RESOURCE = "https://vault.localhost:8443"
POOL_RESOURCE = "https://managedhsm.localhost:8443"
MANAGEMENT = "https://management.localhost:8443"
GRAPH = "https://graph.localhost:8443"
VAULT = Container(
    id="11111111-0000-0000-0000-000000000001",
    kind=ContainerKind.VAULT,
    name="north",
    tenant_id=TENANT,
    subscription_id="33333333-0000-0000-0000-000000000001",
    resource_group="Group",
    location="westeurope",
    world_id="world",
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 1) -> rsa.RSAPrivateKey:
    """One for each number, for the whole run."""
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def part(value: object) -> str:
    """One part of a token: JSON of a value, or bytes as they are."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def signature(key: PrivateKey, algorithm: str, message: bytes) -> bytes:
    """As RFC 7518, 3 says, for RS, PS and ES."""
    hashed = {"256": SHA256(), "384": SHA384(), "512": SHA512()}[algorithm[2:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashed)))
        length = (key.curve.key_size + 7) // 8
        return r.to_bytes(length, "big") + s.to_bytes(length, "big")
    if algorithm.startswith("PS"):
        return key.sign(message, padding.PSS(padding.MGF1(hashed), hashed.digest_size), hashed)
    return key.sign(message, padding.PKCS1v15(), hashed)


@dataclass
class KeysOfTest:
    """A KeySet. asked: every key id that was looked for."""

    keys: dict[str, VerificationKey]
    asked: list[str] = field(default_factory=list)

    async def find(self, kid: str) -> VerificationKey | None:
        self.asked.append(kid)
        return self.keys.get(kid)


@dataclass
class MemoryDirectory:
    states: dict[tuple[str, str], PrincipalState] = field(default_factory=dict)

    async def state(self, tenant_id: str, object_id: str) -> PrincipalState | None:
        return self.states.get((tenant_id, object_id))

    async def application_state(self, tenant_id: str, application_id: str) -> PrincipalState | None:
        """Every application is known and good."""
        return PrincipalState(tenant_id, True, frozenset(), frozenset({CREDENTIAL_ID}))

    def put(self, object_id: str, *, enabled: bool = True, groups: Collection[str] = ()) -> None:
        self.states[(TENANT, object_id)] = PrincipalState(
            TENANT, enabled, frozenset(groups), frozenset({CREDENTIAL_ID})
        )


@dataclass
class MemoryAssignments:
    """Those that name no tenant count in TENANT."""

    assignments: list[RoleAssignment] = field(default_factory=list)
    looks: int = 0

    async def around(
        self, principal_ids: Collection[str], scopes: tuple[str, ...], below: str
    ) -> list[dict[str, tuple[RoleAssignment, ...]]]:
        self.looks += 1
        found: dict[str, dict[str, tuple[RoleAssignment, ...]]] = {one: {} for one in principal_ids}
        for one in self.assignments:
            scope = folded(one.scope)
            if one.principal_id in found and (scope in scopes or (below and scope.startswith(below + "/"))):
                of_principal = found[one.principal_id]
                kept = replace(one, tenant_id=one.tenant_id or TENANT)
                of_principal[scope] = (*of_principal.get(scope, ()), kept)
        return list(found.values())


@dataclass
class MemoryRoles:
    """Custom roles beside the built-in ones."""

    custom: list[RoleDefinition] = field(default_factory=list)

    async def find(self, tenant_id: str, role_id: str) -> RoleDefinition | None:
        return next(
            (
                one
                for one in (*builtin_roles.BUILT_IN, *self.custom)
                if one.id == role_id and one.tenant_id in ("", tenant_id)
            ),
            None,
        )


@dataclass
class MemoryPlaces:
    """placements: by subscription. above: management groups above one, itself first, by its name."""

    placements: dict[str, Placement] = field(default_factory=dict)
    above: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def placement(self, subscription_id: str) -> Placement | None:
        return self.placements.get(subscription_id)

    async def management_groups(self, tenant_id: str, name: str) -> tuple[str, ...]:
        return self.above.get(name, ())


def authorization_of(
    assignments: MemoryAssignments, roles: MemoryRoles | None = None, places: MemoryPlaces | None = None
) -> Authorization:
    return Authorization(AzureRbac(assignments, roles or MemoryRoles(), places or MemoryPlaces()), assignments)


class World:
    """authentication: of the embedded issuer alone, until a test trusts another."""

    def __init__(self) -> None:
        self.clock = MovedClock()
        self.directory = MemoryDirectory()
        self.directory.put(OBJECT_ID)
        self.keys = KeysOfTest({"k1": rsa_key().public_key()})
        self.issuers = Issuers((self.embedded(TENANT), self.embedded(OTHER_TENANT)))
        self.authentication = Authentication(self.issuers, self.directory, self.clock)

    def embedded(self, tenant_id: str) -> Issuer:
        return Issuer(
            issuers=frozenset({f"{LOGIN}/{tenant_id}/", f"{LOGIN}/{tenant_id}/v2.0"}),
            tenant_id=tenant_id,
            keys=self.keys,
            audiences={one: frozenset({one, one + "/"}) for one in (RESOURCE, POOL_RESOURCE, MANAGEMENT, GRAPH)},
            embedded=True,
        )

    def claims(self, **changes: object) -> dict[str, Any]:
        """Those of a good token; None takes a claim away."""
        now = int(self.clock.now())
        claims: dict[str, object] = {
            "iss": ISS,
            "aud": RESOURCE,
            "tid": TENANT,
            "oid": OBJECT_ID,
            "sub": OBJECT_ID,
            "appid": APPLICATION_ID,
            "idtyp": "app",
            "cred": CREDENTIAL_ID,
            "uti": "token-1",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(
        self,
        claims: object = None,
        *,
        header: object = None,
        key: PrivateKey | None = None,
        algorithm: str = "RS256",
        signed: bytes | None = None,
    ) -> str:
        """A good one, but for what is given. claims, header: a value, or the bytes of a part. signed: the signature."""
        good_header = {"typ": "JWT", "alg": algorithm, "kid": "k1"}
        text = part(good_header if header is None else header) + "." + part(self.claims() if claims is None else claims)
        if signed is None:
            signed = signature(key or rsa_key(), algorithm, text.encode())
        return text + "." + b64(signed)

    def header(self, **changes: object) -> dict[str, object]:
        good = {"typ": "JWT", "alg": "RS256", "kid": "k1"}
        return {name: value for name, value in (good | changes).items() if value is not None}

    async def identify(self, token: str, *, scheme: str = "Bearer", **changes: Any) -> Caller:
        return await self.authentication.identify(a_call(f"{scheme} {token}", **changes))


def a_call(
    authorization: str | None,
    *,
    container: Container = VAULT,
    operation: str | None = "get_key",
    name: str = "key",
    address: str = "192.0.2.7",
    resource: str = RESOURCE,
    networks: Collection[str] = (),
) -> Call:
    return Call(
        request_id="request-1",
        started=1000.0,
        container=container,
        resource=resource,
        operation=None if operation is None else BY_NAME[operation],
        object_name=name,
        authorization=authorization,
        client_address=parse_address(address),
        url=f"https://{container.name}.vault.localhost:8443/keys/{name}",
        api_version="7.4",
        user_agent="tests",
        client_request_id="client-1",
        networks=frozenset(networks),
    )


def a_caller(**changes: Any) -> Caller:
    return replace(Caller(TENANT, OBJECT_ID, APPLICATION_ID, ISS), **changes)

"""The containers: one of every kind, and for each permission one that gives only it and one that gives the rest."""

from dataclasses import dataclass, replace
from typing import Any

from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from tests.pipeline.world import POOL_RESOURCE, RESOURCE, TENANT, VAULT
from tests.refusals.rows import Row
from tests.refusals.table import PERMISSIONS, ROWS
from tests.refusals.words import Objects

NOBODY = "44444444-0000-0000-0000-000000000009"
"""A principal of the tenant without any role. It stands in the access policies alone."""


@dataclass(frozen=True)
class Place:
    """A container, as a client names it. hardware: which class of custody its keys have here. kind: of the objects that
    it is there for; None for no objects at all."""

    name: str
    is_pool: bool = False
    hardware: bool = False
    tenant: str = TENANT
    kind: Objects | None = None

    @property
    def host(self) -> str:
        return f"{self.name}.{'managedhsm' if self.is_pool else 'vault'}.localhost:8443"

    @property
    def resource(self) -> str:
        return POOL_RESOURCE if self.is_pool else RESOURCE

    @property
    def shown(self) -> str:
        """As refusals name it."""
        return f"{self.name};location=westeurope"

    def serves(self, row: Row) -> bool:
        return row.in_pools if self.is_pool else row.in_vaults

    @property
    def rows(self) -> dict[str, Row]:
        """The operations that it serves, of its kind of objects."""
        return {name: row for name, row in ROWS.items() if self.serves(row) and self.kind in (None, row.kind)}

    def __str__(self) -> str:
        return self.name


SOFT = Place("dev", kind=Objects.KEYS)
HARD = Place("premium", hardware=True, kind=Objects.KEYS)
POOL = Place("devhsm", is_pool=True, hardware=True, kind=Objects.KEYS)
SECRETS = Place("secretive", kind=Objects.SECRETS)
CERTIFIED = Place("certified", kind=Objects.CERTIFICATES)
KEY_GROUNDS = (SOFT, HARD, POOL)
"""Where keys are: in software, in the HSM, and in a pool."""
GROUNDS = (*KEY_GROUNDS, SECRETS, CERTIFIED)
KEY_KINDS = (HARD, POOL)
"""One of each kind, for what has nothing to do with custody."""
KINDS = (*KEY_KINDS, SECRETS, CERTIFIED)
KEPT = tuple(Place("kept", kind=kind) for kind in Objects)
KEPT_POOL = Place("kepthsm", is_pool=True, hardware=True, kind=Objects.KEYS)
"""Under purge protection."""


def but(row: Row) -> Place:
    """Where NOBODY has every permission, of all kinds of objects, but those of this operation."""
    return Place(f"but-{row.kind.value[0]}-{row.permissions[0]}", kind=row.kind)


def only(kind: Objects, permission: str) -> Place:
    """Where NOBODY has this permission alone."""
    return Place(f"only-{kind.value[0]}-{permission}", kind=kind)


def container(number: int, place: Place, **rules: Any) -> Container:
    kind = ContainerKind.POOL if place.is_pool else ContainerKind.VAULT
    return replace(VAULT, id=f"11111111-0000-0000-0000-00000000{number:04}", name=place.name, kind=kind, **rules)


def containers() -> list[Container]:
    """Beside those of the service."""
    closed = NetworkRules(public_access=False)
    kept = Retention(7, purge_protection=True)
    made = [
        container(9001, HARD),
        container(9002, Place("closed"), network=closed),
        container(9003, Place("closedhsm", is_pool=True), network=closed),
        container(9004, KEPT[0], retention=kept),
        container(9005, KEPT_POOL, retention=kept),
        container(9006, SECRETS),
        container(9007, CERTIFIED),
    ]
    given: dict[str, dict[Objects, frozenset[str]]] = {}
    for row in ROWS.values():
        if row.permissions:
            given[but(row).name] = {**PERMISSIONS, row.kind: PERMISSIONS[row.kind] - set(row.permissions)}
    for kind, permissions in PERMISSIONS.items():
        given |= {only(kind, permission).name: {kind: frozenset({permission})} for permission in permissions}
    for number, (name, granted) in enumerate(sorted(given.items()), start=9100):
        keys, secrets, certificates = (granted.get(kind, frozenset()) for kind in Objects)
        policy = AccessPolicy(TENANT, NOBODY, keys=keys, secrets=secrets, certificates=certificates)
        access = {"authorization": AuthorizationModel.ACCESS_POLICIES, "access_policies": (policy,)}
        made.append(container(number, Place(name), **access))
    return made

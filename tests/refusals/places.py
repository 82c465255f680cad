"""The containers: one of every kind, and for each permission one that gives only it and one that gives the rest."""

from dataclasses import dataclass, replace
from typing import Any

from hsmvault.model.containers import AccessPolicy, AuthorizationModel, Container, ContainerKind
from hsmvault.model.lifecycle import Retention
from hsmvault.model.network import NetworkRules
from tests.pipeline.world import POOL_RESOURCE, RESOURCE, TENANT, VAULT
from tests.refusals.table import PERMISSIONS, ROWS, Row

NOBODY = "44444444-0000-0000-0000-000000000009"
"""A principal of the tenant without any role. It stands in the access policies alone."""


@dataclass(frozen=True)
class Place:
    """A container, as a client names it. hardware: which class of custody its keys have here."""

    name: str
    is_pool: bool = False
    hardware: bool = False
    tenant: str = TENANT

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

    @property
    def rows(self) -> dict[str, Row]:
        """The operations that it serves."""
        return {name: row for name, row in ROWS.items() if self.is_pool or row.in_vaults}

    def __str__(self) -> str:
        return self.name


SOFT = Place("dev")
HARD = Place("premium", hardware=True)
POOL = Place("devhsm", is_pool=True, hardware=True)
GROUNDS = (SOFT, HARD, POOL)
"""Where keys are: in software, in the HSM, and in a pool."""
KINDS = (HARD, POOL)
"""One of each kind, for what has nothing to do with custody."""


def container(number: int, place: str, kind: ContainerKind = ContainerKind.VAULT, **rules: Any) -> Container:
    return replace(VAULT, id=f"11111111-0000-0000-0000-0000000009{number:02}", name=place, kind=kind, **rules)


def containers() -> list[Container]:
    """Beside those of the service. but-…: access policies that give everything but one permission; only-…: only it."""
    closed = NetworkRules(public_access=False)
    made = [
        container(1, "premium"),
        container(2, "closed", network=closed),
        container(3, "closedhsm", ContainerKind.POOL, network=closed),
        container(4, "kept", retention=Retention(7, purge_protection=True)),
        container(5, "kepthsm", ContainerKind.POOL, retention=Retention(7, purge_protection=True)),
    ]
    for permission in sorted(PERMISSIONS):
        for word, given in (("but", PERMISSIONS - {permission}), ("only", {permission})):
            made.append(
                container(
                    len(made) + 10,
                    f"{word}-{permission}",
                    authorization=AuthorizationModel.ACCESS_POLICIES,
                    access_policies=(AccessPolicy(TENANT, NOBODY, keys=frozenset(given)),),
                )
            )
    return made

"""What a pool may be: each property of a body against the pool as it is, and the pool that comes of it.

A PUT replaces what may change; a PATCH changes what it names. Never changed are the location, the tenant, the SKU, the
first administrators, the retention, purge protection once it is on, and soft delete. The firewall stays when nobody
names it. Source: the Microsoft.KeyVault specification.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

import msgspec

from hsmvault.model.containers import AuthorizationModel, Container, ContainerKind, Properties
from hsmvault.model.lifecycle import LONGEST_RETENTION_DAYS, SHORTEST_RETENTION_DAYS, Retention
from hsmvault.model.network import NetworkRules
from hsmvault.resources.locations import folded_location
from hsmvault.resources.network_rules import rules_of
from hsmvault.resources.pools.refusals import bad, foreign_tenant, invalid_name, location_not_available
from hsmvault.resources.pools.settings import PoolIdentity, PoolSettings
from hsmvault.resources.vaults.rules import checked_tags, is_name
from hsmvault.resources.vaults.settings import Actor, Place

SKUS: Final = {
    "Standard_B1": "B",
    "Custom_B6": "B",
    "Custom_B32": "B",
    "Custom_C10": "C",
    "Custom_C42": "C",
    "Standard_B1v2": "B",
    "Standard_B5v2": "B",
    "Standard_B10v2": "B",
    "Standard_B15v2": "B",
    "Standard_B20v2": "B",
}
"""Names to families."""
_BY_NAME: Final = {name.lower(): name for name in SKUS}
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_IDENTITY: Final = re.compile(
    r"/subscriptions/[^/\s]{1,64}/resourcegroups/[^/\s]{1,90}/providers/microsoft\.managedidentity"
    r"/userassignedidentities/[^/\s]{3,128}",
    re.IGNORECASE,
)
_MOST_ADMINS: Final = 50  # assignments that a pool may have at the scope of the whole pool
_MOST_IDENTITIES: Final = 10  # guessed: nothing is published
_POOL: Final = ContainerKind.POOL


class KeptIdentity(msgspec.Struct, frozen=True):
    """Properties.identity. user_assigned: ARM ids."""

    user_assigned: tuple[str, ...]


def check_name(name: str) -> None:
    """Raises BadRequest (ManagedHsmNameNotValid)."""
    if not is_name(name):
        raise invalid_name(name[:128])


def made(
    place: Place,
    settings: PoolSettings,
    actor: Actor,
    now: int,
    *,
    id: str,
    world_id: str,
    locations: tuple[str, ...],
    subnets: Collection[str],
) -> Container:
    """A new pool, which serves no keys before its security domain was taken. Raises BadRequest.

    locations: where pools can be, folded. subnets: ids of the configured subnets, in lower case.
    """
    check_name(place.name)
    location = location_of(settings, locations)
    _check_tenant(settings, place.tenant_id)
    sku = _sku(settings)
    if sku is None:
        raise bad('The property "sku" is required.')
    _check_soft_delete(settings)
    _check_regions(settings, location)
    days = LONGEST_RETENTION_DAYS if settings.retention_days is None else settings.retention_days
    if not SHORTEST_RETENTION_DAYS <= days <= LONGEST_RETENTION_DAYS:
        raise bad(
            f'The property "softDeleteRetentionInDays" must be between {SHORTEST_RETENTION_DAYS} and '
            f"{LONGEST_RETENTION_DAYS}."
        )
    return Container(
        id=id,
        kind=_POOL,
        name=place.name.lower(),
        tenant_id=place.tenant_id,
        subscription_id=place.subscription_id.lower(),
        resource_group=place.group,
        location=location,
        world_id=world_id,
        software_keys=False,
        authorization=AuthorizationModel.LOCAL,
        retention=Retention(days, _purge_protection(settings, existing=False)),
        network=rules_of(settings.network, settings.public_network_access, NetworkRules(), kind=_POOL, subnets=subnets),
        created=now,
        tags=checked_tags(settings.tags),
        properties=Properties(
            shown_name=place.name,
            sku_family=SKUS[sku],
            sku_name=sku,
            initial_admins=_admins(settings.initial_admins or ()),
            identity=_identity(settings.identity),
            created_by=actor.name,
            created_by_type=actor.kind,
            modified_by=actor.name,
            modified_by_type=actor.kind,
            modified=now,
        ),
        activated=False,
    )


def changed(container: Container, settings: PoolSettings, *, whole: bool, subnets: Collection[str]) -> Container:
    """The pool as a PUT (whole) or a PATCH leaves it, with systemData as it was. Raises BadRequest."""
    _check_tenant(settings, container.tenant_id)
    known = container.properties
    sku = _sku(settings)
    if sku is not None and sku != (known.sku_name or DEFAULT_SKU):
        raise bad("The SKU of a managed HSM cannot be changed.")
    _check_soft_delete(settings)
    _check_regions(settings, container.location)
    given, first = settings.initial_admins, set(known.initial_admins)
    if given and first and set(_admins(given)) != first:
        raise bad(
            'The property "initialAdminObjectIds" cannot be changed; administrators are managed by the role '
            "assignments of the managed HSM itself."
        )
    if settings.retention_days is not None and settings.retention_days != container.retention.days:
        raise bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
    protected = _purge_protection(settings, existing=container.retention.purge_protection)
    return replace(
        container,
        retention=replace(container.retention, purge_protection=protected),
        network=rules_of(
            settings.network, settings.public_network_access, container.network, kind=_POOL, subnets=subnets
        ),
        tags=checked_tags(settings.tags) if whole or settings.tags is not None else container.tags,
        properties=replace(known, identity=_identity(settings.identity))
        if settings.identity is not None
        else container.properties,
    )


DEFAULT_SKU: Final = "Standard_B1"
"""Of a pool that nobody gave any."""


def location_of(settings: PoolSettings, locations: tuple[str, ...]) -> str:
    """Folded. Raises BadRequest."""
    if settings.location is None:
        raise bad("The location property is required for this definition.", code="LocationRequired")
    location = folded_location(settings.location)
    if location not in locations:
        raise location_not_available(settings.location[:64], locations)
    return location


def _check_tenant(settings: PoolSettings, tenant_id: str) -> None:
    if settings.tenant_id is not None and settings.tenant_id.lower() != tenant_id:
        raise foreign_tenant(settings.tenant_id[:64], tenant_id)


def _sku(settings: PoolSettings) -> str | None:
    if settings.sku is None and settings.sku_family is None:
        return None
    family, asked = settings.sku_family or "", settings.sku or ""
    name = _BY_NAME.get(asked.lower())
    if name is None or SKUS[name] != family.upper():
        raise bad(f"The SKU '{family[:32]}', '{asked[:32]}' is not supported for managed HSMs.", code="SkuNotSupported")
    return name


def _admins(given: tuple[str, ...]) -> tuple[str, ...]:
    """GUIDs in lower case, each once."""
    admins = tuple(dict.fromkeys(admin.lower() for admin in given))
    if not admins:
        raise bad('The property "initialAdminObjectIds" is required, and needs at least one object id.')
    if len(admins) > _MOST_ADMINS:
        raise bad(f'The property "initialAdminObjectIds" has more than {_MOST_ADMINS} object ids.')
    for admin in admins:
        if not _GUID.fullmatch(admin):
            raise bad(f"The value '{admin[:64]}' of the property \"initialAdminObjectIds\" is not a GUID.")
    return admins


def _check_soft_delete(settings: PoolSettings) -> None:
    if settings.soft_delete is False:
        raise bad(
            'The property "enableSoftDelete" cannot be set to false. Soft delete is enabled for every managed HSM, and '
            "enabling it is an irreversible action."
        )


def _check_regions(settings: PoolSettings, location: str) -> None:
    """A pool is in the region of its world alone."""
    for region in settings.regions or ():
        if folded_location(region) != folded_location(location):
            raise bad(
                f"The region '{region[:64]}' cannot be added: this managed HSM is not replicated to other regions.",
                code="RegionNotSupported",
            )


def _purge_protection(settings: PoolSettings, *, existing: bool) -> bool:
    if settings.purge_protection is False:
        raise bad(
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a managed '
            "HSM is an irreversible action."
        )
    return existing or bool(settings.purge_protection)


def _identity(given: PoolIdentity | None) -> str:
    """As Properties keeps it; "" for none."""
    if given is None or given.kind.lower() == "none":
        return ""
    if given.kind.lower() != "userassigned":
        raise bad(
            f"The identity type '{given.kind[:64]}' is not supported for managed HSMs: it is UserAssigned or None."
        )
    ids = tuple({one.lower(): one for one in given.user_assigned}.values())
    if not ids or len(ids) > _MOST_IDENTITIES:
        raise bad(f'The property "userAssignedIdentities" needs 1 to {_MOST_IDENTITIES} identities.')
    for one in ids:
        if not _IDENTITY.fullmatch(one):
            raise bad(f"The value '{one[:256]}' is not the resource id of a user-assigned identity.")
    return msgspec.json.encode(KeptIdentity(ids)).decode()

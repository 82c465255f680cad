"""What a vault may be: each property of a body against the vault as it is, and the vault that comes of it.

A PUT replaces what may change; a PATCH changes what it names. Some never change in either: the location, the tenant,
the retention, purge protection once it is on, soft delete; and some stay when nobody names them: the permission model,
and the firewall, which no omission opens. Source: the Microsoft.KeyVault specification.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from hsmvault.model.containers import AuthorizationModel, Container, ContainerKind, Properties
from hsmvault.model.lifecycle import LONGEST_RETENTION_DAYS, SHORTEST_RETENTION_DAYS, Retention
from hsmvault.model.network import NetworkRules
from hsmvault.resources.locations import check_location
from hsmvault.resources.network_rules import rules_of
from hsmvault.resources.vaults import access_policies
from hsmvault.resources.vaults.refusals import bad, foreign_tenant, invalid_name
from hsmvault.resources.vaults.settings import TYPE, Actor, Place, VaultSettings

_NAME: Final = re.compile(r"(?!.*--)[a-z][a-z0-9-]{1,22}[a-z0-9]", re.ASCII | re.IGNORECASE)
_MOST_TAGS: Final = 50
_LONGEST_TAG_NAME: Final = 512
_LONGEST_TAG_VALUE: Final = 256
_RESERVED: Final = frozenset("<>%&\\?/")
_SKUS: Final = ("standard", "premium")
_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


def is_name(name: str) -> bool:
    """3 to 24 letters, digits and hyphens; a letter first, a letter or digit last, no two hyphens in a row."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raises BadRequest (VaultNameNotValid)."""
    if not is_name(name):
        raise invalid_name(name[:128])


def made(
    place: Place,
    settings: VaultSettings,
    actor: Actor,
    now: int,
    *,
    id: str,
    world_id: str,
    software_keys: bool,
    rbac: bool,
    locations: tuple[str, ...],
    subnets: Collection[str],
) -> Container:
    """A new vault. Raises BadRequest.

    rbac: the permission model of a body that names none. locations: where vaults can be, folded. subnets: ids of the
    configured subnets, in lower case.
    """
    check_name(place.name)
    if settings.location is None:
        raise bad("The location property is required for this definition.", code="LocationRequired")
    location = check_location(settings.location, locations, TYPE)
    _check_tenant(settings, place.tenant_id, required=True)
    sku = _sku(settings, required=True)
    _check_soft_delete(settings)
    is_rbac = rbac if settings.rbac is None else settings.rbac
    if settings.policies is None and not is_rbac:
        raise bad('The property "accessPolicies" is required for a vault whose permission model is access policies.')
    days = LONGEST_RETENTION_DAYS if settings.retention_days is None else settings.retention_days
    if not SHORTEST_RETENTION_DAYS <= days <= LONGEST_RETENTION_DAYS:
        raise bad(
            f'The property "softDeleteRetentionInDays" must be between {SHORTEST_RETENTION_DAYS} and '
            f"{LONGEST_RETENTION_DAYS}."
        )
    return Container(
        id=id,
        kind=ContainerKind.VAULT,
        name=place.name.lower(),
        tenant_id=place.tenant_id,
        subscription_id=place.subscription_id.lower(),
        resource_group=place.group,
        location=location,
        world_id=world_id,
        premium=sku == "premium",
        software_keys=software_keys,
        authorization=AuthorizationModel.RBAC if is_rbac else AuthorizationModel.ACCESS_POLICIES,
        retention=Retention(days, _purge_protection(settings, existing=False)),
        network=rules_of(
            settings.network,
            settings.public_network_access,
            NetworkRules(),
            kind=ContainerKind.VAULT,
            subnets=subnets,
        ),
        access_policies=access_policies.checked(settings.policies or (), place.tenant_id),
        created=now,
        tags=checked_tags(settings.tags),
        properties=Properties(
            shown_name=place.name,
            enabled_for_deployment=settings.enabled_for_deployment,
            enabled_for_disk_encryption=settings.enabled_for_disk_encryption,
            enabled_for_template_deployment=settings.enabled_for_template_deployment,
            created_by=actor.name,
            created_by_type=actor.kind,
            modified_by=actor.name,
            modified_by_type=actor.kind,
            modified=now,
        ),
    )


def changed(container: Container, settings: VaultSettings, *, whole: bool, subnets: Collection[str]) -> Container:
    """The vault as a PUT (whole) or a PATCH leaves it, with systemData as it was. Raises BadRequest.

    Whether the caller may choose the permission model that comes out is not looked at here.
    """
    _check_tenant(settings, container.tenant_id, required=whole)
    sku = _sku(settings, required=whole)
    _check_soft_delete(settings)
    if settings.retention_days is not None and settings.retention_days != container.retention.days:
        raise bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
    if sku == "standard" and container.premium:
        raise bad("The SKU of a vault cannot be changed from premium to standard.")
    model = container.authorization
    if settings.rbac is not None:
        model = AuthorizationModel.RBAC if settings.rbac else AuthorizationModel.ACCESS_POLICIES
    if whole and settings.policies is None and model is AuthorizationModel.ACCESS_POLICIES:
        raise bad('The property "accessPolicies" is required for a vault whose permission model is access policies.')
    known = container.properties
    return replace(
        container,
        premium=container.premium if sku is None else sku == "premium",
        authorization=model,
        retention=replace(
            container.retention,
            purge_protection=_purge_protection(settings, existing=container.retention.purge_protection),
        ),
        network=rules_of(
            settings.network,
            settings.public_network_access,
            container.network,
            kind=ContainerKind.VAULT,
            subnets=subnets,
        ),
        access_policies=container.access_policies
        if settings.policies is None
        else access_policies.checked(settings.policies, container.tenant_id),
        tags=checked_tags(settings.tags) if whole or settings.tags is not None else container.tags,
        properties=replace(
            known,
            enabled_for_deployment=_either(settings.enabled_for_deployment, known.enabled_for_deployment, whole=whole),
            enabled_for_disk_encryption=_either(
                settings.enabled_for_disk_encryption, known.enabled_for_disk_encryption, whole=whole
            ),
            enabled_for_template_deployment=_either(
                settings.enabled_for_template_deployment, known.enabled_for_template_deployment, whole=whole
            ),
        ),
    )


def signed(container: Container, actor: Actor, now: int) -> Container:
    """With who has changed it, and when."""
    properties = replace(container.properties, modified_by=actor.name, modified_by_type=actor.kind, modified=now)
    return replace(container, properties=properties)


def _either(given: bool | None, existing: bool | None, *, whole: bool) -> bool | None:
    return given if whole or given is not None else existing


def _check_tenant(settings: VaultSettings, tenant_id: str, *, required: bool) -> None:
    if settings.tenant_id is None:
        if required:
            raise bad('The property "tenantId" is required.')
    elif settings.tenant_id != tenant_id:
        raise foreign_tenant(settings.tenant_id[:64], tenant_id)


def _sku(settings: VaultSettings, *, required: bool) -> str | None:
    if settings.sku is None and settings.sku_family is None:
        if required:
            raise bad('The property "sku" is required.')
        return None
    family, name = settings.sku_family or "", (settings.sku or "").lower()
    if family.upper() != "A" or name not in _SKUS:
        raise bad(
            f"The SKU '{family[:32]}', '{name[:32]}' is not supported for vaults: the family is A, and the name "
            "standard or premium.",
            code="SkuNotSupported",
        )
    return name


def _check_soft_delete(settings: VaultSettings) -> None:
    if settings.soft_delete is False:
        raise bad(
            'The property "enableSoftDelete" cannot be set to false. Soft delete is enabled for every vault, and '
            "enabling it is an irreversible action."
        )


def _purge_protection(settings: VaultSettings, *, existing: bool) -> bool:
    if settings.purge_protection is False:
        raise bad(
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is '
            "an irreversible action."
        )
    return existing or bool(settings.purge_protection)


def checked_tags(tags: Mapping[str, str] | None) -> Mapping[str, str]:
    """The limits of the resource manager; names compare without regard to case."""
    if not tags:
        return _NO_TAGS
    if len(tags) > _MOST_TAGS:
        raise bad(f"A resource can have at most {_MOST_TAGS} tags, and {len(tags)} are given.")
    for name, value in tags.items():
        if not name or len(name) > _LONGEST_TAG_NAME:
            raise bad(f"The name of a tag must have 1 to {_LONGEST_TAG_NAME} characters.")
        if len(value) > _LONGEST_TAG_VALUE:
            raise bad(f"The value of the tag '{name[:64]}' has more than {_LONGEST_TAG_VALUE} characters.")
        if not _RESERVED.isdisjoint(name) or not name.isprintable():
            raise bad(
                f"The tag name '{name[:64]}' has reserved characters '<,>,%,&,\\,?,/' or control characters.",
                code="InvalidTagNameCharacters",
            )
    if len({name.lower() for name in tags}) != len(tags):
        raise bad("A tag is given twice; names of tags compare without regard to case.")
    return MappingProxyType(dict(tags))

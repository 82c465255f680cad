"""`hsmvault vault`, one function for each command of vault_options.py. Lists are lines, single vaults JSON as the
management plane shows them."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import msgspec

from hsmvault.app.vault_commands import Opened, change, listed, look, may_switch, shown
from hsmvault.cli.existing import settings_of
from hsmvault.config import Settings
from hsmvault.errors import ConfigurationError
from hsmvault.model.containers import AccessPolicy, Container
from hsmvault.resources import network_rules
from hsmvault.resources.network_rules import IpRule, NetworkRuleSet, VirtualNetworkRule
from hsmvault.resources.vaults.access_policies import ALL, Change, permissions_of
from hsmvault.resources.vaults.settings import VaultSettings
from hsmvault.wire.management.vault_bodies import guid

Result = TypeVar("Result")
_KINDS = ("keys", "secrets", "certificates", "storage")


def list_vaults(options: argparse.Namespace) -> int:
    for one in asyncio.run(
        look(settings_of(options.config, options.data_dir), lambda on: listed(on, deleted=options.deleted))
    ):
        print(f"{one.properties.shown_name or one.name}  {one.location}  {one.resource_id}")
    return 0


def show(options: argparse.Namespace) -> int:
    settings = settings_of(options.config, options.data_dir)
    return _print(settings, asyncio.run(look(settings, lambda on: on.container(options.name))))


def create(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> Container:
        place = await on.new_place(options.name, options.subscription, options.group)
        wanted = VaultSettings(
            location=options.location or on.locations[0],
            tags=_tags(options.tag),
            tenant_id=place.tenant_id,
            sku_family="A",
            sku=options.sku,
            policies=(),
            rbac=options.rbac == "true",
            retention_days=options.retention_days,
            purge_protection=options.purge_protection or None,
        )
        if not await on.vaults.is_name_free(options.name):
            raise ConfigurationError(f"The name '{options.name}' is in use by a vault, or by a deleted one.")
        return (await on.vaults.put(place, wanted, on.actor, may_switch=may_switch, rbac=True)).container

    return _carry_out(options, "VaultPut", "A new vault.", act)


def update(options: argparse.Namespace) -> int:
    wanted = VaultSettings(
        tags=None if options.tag is None else _tags(options.tag),
        sku_family=None if options.sku is None else "A",
        sku=options.sku,
        rbac=None if options.rbac is None else options.rbac == "true",
        purge_protection=options.purge_protection or None,
    )
    return _patch(options, "The properties.", lambda _: wanted)


def delete(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> None:
        if not await on.vaults.delete(await on.place(options.name)):
            raise ConfigurationError(f"The vault '{options.name}' is deleted already.")

    _run(options, "VaultDelete", "The vault.", act)
    print(f"The vault '{options.name}' is deleted; 'hsmvault vault recover' brings it back.")
    return 0


def recover(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> Container:
        place = await on.place(options.name)
        if (await on.container(options.name)).deleted_at is None:
            raise ConfigurationError(f"The vault '{options.name}' is not deleted.")
        return (
            await on.vaults.put(place, VaultSettings(recover=True), on.actor, may_switch=may_switch, rbac=True)
        ).container

    return _carry_out(options, "VaultRecover", "The vault.", act)


def purge(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> None:
        found = await on.container(options.name)
        await on.deleted.purge(found.subscription_id, found.location, options.name)

    _run(options, "VaultPurge", "The vault, for good.", act)
    print(f"The vault '{options.name}' is removed for good as soon as an instance runs.")
    return 0


def set_policy(options: argparse.Namespace) -> int:
    given = {kind: getattr(options, kind) for kind in _KINDS if getattr(options, kind) is not None}
    if not given:
        raise ConfigurationError("Name the permissions of at least one kind of object.")

    async def act(on: Opened) -> Container:
        found = await on.container(options.name)
        wanted = _entry(found, options)
        before = next((one for one in found.access_policies if _same(one, wanted)), wanted)
        held = {kind: permissions_of(kind, [word for word in text.split(",") if word]) for kind, text in given.items()}
        after = replace(
            before,
            keys=held.get("keys", before.keys),
            secrets=held.get("secrets", before.secrets),
            certificates=held.get("certificates", before.certificates),
            storage=held.get("storage", before.storage),
        )
        place = await on.place(options.name)
        return await on.vaults.change_policies(place, Change.REPLACE, [after], on.actor)

    return _carry_out(options, "VaultAccessPolicyPut", f"The policy of {options.principal}.", act)


def remove_policy(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> Container:
        found = await on.container(options.name)
        wanted = _entry(found, options)
        if not any(_same(one, wanted) for one in found.access_policies):
            raise ConfigurationError(f"The vault '{options.name}' has no such access policy.")
        everything = frozenset({ALL})
        taken = replace(wanted, keys=everything, secrets=everything, certificates=everything, storage=everything)
        place = await on.place(options.name)
        return await on.vaults.change_policies(place, Change.REMOVE, [taken], on.actor)

    return _carry_out(options, "VaultAccessPolicyPut", f"The policy of {options.principal}.", act)


def set_network(options: argparse.Namespace) -> int:
    def wanted(found: Container) -> VaultSettings:
        rules = _rules(found)
        return VaultSettings(
            network=msgspec.structs.replace(
                rules,
                defaultAction=options.default_action or rules.defaultAction,
                bypass=options.bypass or rules.bypass,
            ),
            public_network_access=options.public_access,
        )

    return _patch(options, "The firewall.", wanted)


def add_network(options: argparse.Namespace) -> int:
    _need_rule(options)

    def wanted(found: Container) -> VaultSettings:
        rules = _rules(found)
        return VaultSettings(
            network=msgspec.structs.replace(
                rules,
                ipRules=[*(rules.ipRules or []), *(IpRule(text) for text in options.ip)],
                virtualNetworkRules=[
                    *(rules.virtualNetworkRules or []),
                    *(VirtualNetworkRule(text) for text in options.subnet),
                ],
            )
        )

    return _patch(options, "The firewall.", wanted)


def remove_network(options: argparse.Namespace) -> int:
    _need_rule(options)

    def wanted(found: Container) -> VaultSettings:
        rules = _rules(found)
        gone = {text if "/" in text else f"{text}/32" for text in options.ip}
        subnets = {text.lower() for text in options.subnet}
        return VaultSettings(
            network=msgspec.structs.replace(
                rules,
                ipRules=[one for one in rules.ipRules or [] if one.value not in gone],
                virtualNetworkRules=[one for one in rules.virtualNetworkRules or [] if one.id.lower() not in subnets],
            )
        )

    return _patch(options, "The firewall.", wanted)


def _patch(options: argparse.Namespace, about: str, wanted: Callable[[Container], VaultSettings]) -> int:
    async def act(on: Opened) -> Container:
        settings = wanted(await on.container(options.name))
        return await on.vaults.patch(await on.place(options.name), settings, on.actor, may_switch)

    return _carry_out(options, "VaultPatch", about, act)


def _need_rule(options: argparse.Namespace) -> None:
    if not options.ip and not options.subnet:
        raise ConfigurationError("Name at least one --ip or --subnet.")


def _rules(container: Container) -> NetworkRuleSet:
    """As the vault has them now."""
    return msgspec.convert(network_rules.shown(container.network, container.kind) or {}, NetworkRuleSet)


def _entry(container: Container, options: argparse.Namespace) -> AccessPolicy:
    """Raises BadRequest."""
    application = "" if options.application is None else guid(options.application, "application")
    return AccessPolicy(container.tenant_id, guid(options.principal, "principal"), application)


def _same(one: AccessPolicy, other: AccessPolicy) -> bool:
    return (one.object_id, one.application_id) == (other.object_id, other.application_id)


def _tags(given: list[str] | None) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in given or ()) if name}


def _carry_out(
    options: argparse.Namespace, operation: str, about: str, act: Callable[[Opened], Awaitable[Container]]
) -> int:
    return _print(settings_of(options.config, options.data_dir), _run(options, operation, about, act))


def _run(options: argparse.Namespace, operation: str, about: str, act: Callable[[Opened], Awaitable[Result]]) -> Result:
    return asyncio.run(change(settings_of(options.config, options.data_dir), operation, options.name, about, act))


def _print(settings: Settings, container: Container) -> int:
    print(json.dumps(msgspec.to_builtins(shown(settings, container)), indent=2, ensure_ascii=False))
    return 0

"""`hsmvault subscription` and `hsmvault group`, one function for each command of place_options.py. A line for each."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hsmvault.app.place_commands import Opened, change, look, may_everything
from hsmvault.cli.existing import settings_of
from hsmvault.errors import ConfigurationError, NotFound
from hsmvault.model.subscriptions import ResourceGroup, Subscription

Result = TypeVar("Result")


def list_subscriptions(options: argparse.Namespace) -> int:
    for one in _look(options, lambda on: on.subscriptions()):
        _print_subscription(one)
    return 0


def create_subscription(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> Subscription:
        return await on.create_subscription(options.name, options.id, options.tenant)

    about = f"A new subscription '{options.name}'."
    _print_subscription(_change(options, "SubscriptionCreate", "/subscriptions", about, act))
    return 0


def list_groups(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> list[ResourceGroup]:
        return await on.groups_of(await on.subscription(options.subscription))

    for one in _look(options, act):
        print(f"{one.name}  {one.location}  {one.resource_id}")
    return 0


def create_group(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> ResourceGroup:
        subscription, location = await on.subscription(options.subscription), options.location or on.locations[0]
        try:
            found = await on.groups.get(subscription.id, options.name)
        except NotFound:
            return (await on.groups.put(subscription.id, options.name, location, {})).group
        raise ConfigurationError(f"There is a resource group '{found.name}' already.")

    made = _change(options, "ResourceGroupPut", f"/resourceGroups/{options.name}", "A resource group.", act)
    print(f"{made.name}  {made.location}  {made.resource_id}")
    return 0


def delete_group(options: argparse.Namespace) -> int:
    async def act(on: Opened) -> None:
        subscription = await on.subscription(options.subscription)
        await on.groups.delete(subscription.id, options.name, may_everything)

    about = "The resource group, with what is in it."
    _change(options, "ResourceGroupDelete", f"/resourceGroups/{options.name}", about, act)
    print(f"The resource group '{options.name}' is deleted; its vaults and pools are kept for their retention.")
    return 0


def _print_subscription(one: Subscription) -> None:
    print(f"{one.id}  {one.tenant_id}  {one.display_name}")


def _look(options: argparse.Namespace, act: Callable[[Opened], Awaitable[Result]]) -> Result:
    return asyncio.run(look(settings_of(options.config, options.data_dir), act))


def _change(
    options: argparse.Namespace, operation: str, place: str, about: str, act: Callable[[Opened], Awaitable[Result]]
) -> Result:
    return asyncio.run(change(settings_of(options.config, options.data_dir), operation, place, about, act))

"""`hsmvault rotate-system-key` and `hsmvault rotate-world-key`: beside an instance that runs, or does not.

They do not claim the data directory: the database and the token are shared, and what is written is guarded there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from hsmvault.cli.dev import DevOptions, dev_settings
from hsmvault.cli.hardening import harden, set_module_environment
from hsmvault.cli.serve import security_officer_pin, user_pin
from hsmvault.config import Settings, read_settings
from hsmvault.errors import ConfigurationError
from hsmvault.hsm.pin import Pin


class Rotations(Protocol):
    """What the commands expect of the application. Both raise OperatorError. say: takes a sentence for the terminal."""

    def rotate_system_key(
        self,
        settings: Settings,
        pin: Pin,
        world: str,
        *,
        keep_old: bool,
        make_only: bool,
        say: Callable[[str], None],
    ) -> Awaitable[None]: ...

    def rotate_world_key(
        self,
        settings: Settings,
        pin: Pin,
        so_pin: Pin,
        world: str,
        *,
        make_only: bool,
        say: Callable[[str], None],
    ) -> Awaitable[None]: ...


def rotate_system_key(config: Path | None, data_dir: Path, world: str, *, keep_old: bool, make_only: bool) -> int:
    """config: of an instance that is served; without, data_dir of an embedded one. make_only: do not use it yet."""
    settings = _settings(config, data_dir)
    pin = user_pin(settings)
    asyncio.run(_system_key(settings, pin, world, keep_old, make_only))
    return 0


def rotate_world_key(config: Path | None, data_dir: Path, world: str, *, make_only: bool) -> int:
    settings = _settings(config, data_dir)
    pin, so_pin = user_pin(settings), security_officer_pin(settings)
    asyncio.run(_world_key(settings, pin, so_pin, world, make_only))
    return 0


async def _system_key(settings: Settings, pin: Pin, world: str, keep_old: bool, make_only: bool) -> None:
    await _load().rotate_system_key(settings, pin, world, keep_old=keep_old, make_only=make_only, say=_say)


async def _world_key(settings: Settings, pin: Pin, so_pin: Pin, world: str, make_only: bool) -> None:
    await _load().rotate_world_key(settings, pin, so_pin, world, make_only=make_only, say=_say)


def _settings(config: Path | None, data_dir: Path) -> Settings:
    harden()
    settings = dev_settings(DevOptions(data_dir)) if config is None else read_settings(config)
    if config is None and not settings.layout.database.exists():
        raise ConfigurationError(f"There is no instance in {data_dir}; name its --data-dir, or its --config.")
    set_module_environment(settings)
    return settings


def _load() -> Rotations:
    from hsmvault import app

    return app


def _say(sentence: str) -> None:
    print(sentence, flush=True)

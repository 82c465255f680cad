"""Everything that is done while a process is killed, and who looks at what is left."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hsmvault.model.containers import Container
from tests.faults import (
    container_actions,
    directory_actions,
    governed,
    observing,
    place_actions,
    pool_actions,
    vault_observing,
)
from tests.faults.actions import CASES as KEY_CASES
from tests.faults.actions import Case, Setup
from tests.faults.container_actions import CONTAINER_CASES, REMOVALS
from tests.faults.observing import State
from tests.faults.parts import Parts
from tests.faults.pool_actions import POOL_CASES
from tests.faults.vault_actions import CERTIFICATE_CASES, SECRET_CASES

_GOVERNED = {**place_actions.GOVERNED, **directory_actions.GOVERNED}
CASES: Mapping[str, Case] = {
    **KEY_CASES,
    **SECRET_CASES,
    **CERTIFICATE_CASES,
    **CONTAINER_CASES,
    **POOL_CASES,
    **{name: governed.case_of(one) for name, one in _GOVERNED.items()},
}
HELD: Mapping[str, Case] = {**CASES, **REMOVALS}
"""And those that are done only while another one is held."""


@dataclass(frozen=True)
class Observer:
    """observe: what there is of the name. require_usable: go on with it, from that state."""

    observe: Callable[[Parts, Container], Awaitable[State]]
    require_usable: Callable[[Parts, Setup, State], Awaitable[None]]


_KEYS = Observer(observing.observe, observing.require_usable)
_SECRETS = Observer(vault_observing.observe_secret, vault_observing.require_secret_usable)
_CONTAINERS = Observer(container_actions.observe, container_actions.require_usable)
_POOLS = Observer(pool_actions.observe, pool_actions.require_usable)
_CERTIFICATES = Observer(vault_observing.observe_certificate, vault_observing.require_certificate_usable)


def observer_of(case: str) -> Observer:
    """case: a name of CASES."""
    if case in CONTAINER_CASES:
        return _CONTAINERS
    if case in POOL_CASES:
        return _POOLS
    if case in _GOVERNED:
        return Observer(governed.observing(_GOVERNED[case]), governed.repeating(_GOVERNED[case]))
    return _SECRETS if case in SECRET_CASES else _CERTIFICATES if case in CERTIFICATE_CASES else _KEYS

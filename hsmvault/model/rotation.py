"""The rotation policy of a key: when a new version is due, and when somebody is told.

Source: KeyRotationPolicy of the Azure Key Vault REST documentation; "Configure cryptographic key auto-rotation" and its
counterpart for managed HSM for the minimums. Everything here is pure: what is due follows from the policy and the
latest version alone. Durations are in model/durations.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from hsmvault.errors import BadRequest
from hsmvault.model.durations import Duration, after, before, fewest_days

SHORTEST_EXPIRY_DAYS: Final = 28


class ActionType(Enum):
    ROTATE = "Rotate"
    NOTIFY = "Notify"


@dataclass(frozen=True, slots=True)
class LifetimeAction:
    """Exactly one of the two triggers is there."""

    type: ActionType
    after_create: Duration | None = None
    before_expiry: Duration | None = None


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """expiry: what new versions made by a rotation live. created, updated: seconds since 1970 UTC."""

    actions: tuple[LifetimeAction, ...]
    expiry: Duration | None
    created: int
    updated: int

    def action(self, kind: ActionType) -> LifetimeAction | None:
        return next((action for action in self.actions if action.type is kind), None)


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """What a container takes. notify: whether there is anybody to notify. shortest_days: from a version's creation to
    its rotation.
    """

    notify: bool
    shortest_days: int


VAULT_RULES: Final = PolicyRules(notify=True, shortest_days=7)
POOL_RULES: Final = PolicyRules(notify=False, shortest_days=28)
NEAR_EXPIRY: Final = Duration(days=30)  # where no policy says otherwise


@dataclass(frozen=True, slots=True)
class StatedAction:
    """A lifetime action as a request states it; None for a member that is absent or null."""

    type: str | None = None
    after_create: str | None = None
    before_expiry: str | None = None


def parse_policy(actions: Sequence[StatedAction], expiry: str | None) -> RotationPolicy:
    """What a request states, with times of 0. Neither an action nor an expiry: an empty policy, which removes the one
    that is set. Raises BadRequest. Whether a container takes it: check_policy.
    """
    return RotationPolicy(
        tuple(_action(stated) for stated in actions), None if expiry is None else Duration.parse(expiry), 0, 0
    )


def is_empty(policy: RotationPolicy) -> bool:
    return not policy.actions and policy.expiry is None


def default_policy(rules: PolicyRules, created: int) -> RotationPolicy:
    """What is answered before any policy was set. created: of the key."""
    notify = (LifetimeAction(ActionType.NOTIFY, before_expiry=NEAR_EXPIRY),) if rules.notify else ()
    return RotationPolicy(notify, None, created, created)


def check_policy(policy: RotationPolicy, rules: PolicyRules) -> None:
    """Raises BadRequest where the policy misses a minimum or has what this kind of container does not do."""
    if policy.expiry is not None and fewest_days(policy.expiry) < SHORTEST_EXPIRY_DAYS:
        raise BadRequest(f"The rotation policy is invalid: expiryTime must be at least P{SHORTEST_EXPIRY_DAYS}D.")
    for kind in ActionType:
        if sum(action.type is kind for action in policy.actions) > 1:
            raise BadRequest(f"The rotation policy is invalid: there can be one {kind.value} action at most.")
    if (rotate := policy.action(ActionType.ROTATE)) is not None:
        _check_rotate(rotate, policy.expiry, rules.shortest_days)
    if (notify := policy.action(ActionType.NOTIFY)) is not None:
        if not rules.notify:
            raise BadRequest("The rotation policy is invalid: a managed HSM supports the action Rotate only.")
        if notify.before_expiry is None:
            raise BadRequest("The rotation policy is invalid: the trigger of Notify is timeBeforeExpiry.")


def rotation_due(policy: RotationPolicy | None, created: int, expires: int | None) -> int | None:
    """When the version that was created then and expires then is to be succeeded. None: never by itself."""
    rotate = None if policy is None else policy.action(ActionType.ROTATE)
    if rotate is None:
        return None
    if rotate.after_create is not None:
        return after(created, rotate.after_create)
    if rotate.before_expiry is not None and expires is not None:
        return before(expires, rotate.before_expiry)
    return None


def near_expiry(policy: RotationPolicy | None, expires: int | None) -> int | None:
    """When the end of a version is to be announced. None: it has none."""
    if expires is None:
        return None
    notify = None if policy is None else policy.action(ActionType.NOTIFY)
    return before(expires, NEAR_EXPIRY if notify is None or notify.before_expiry is None else notify.before_expiry)


def expiry_of_new(policy: RotationPolicy | None, now: int) -> int | None:
    """`exp` of a version that a rotation makes now."""
    return None if policy is None or policy.expiry is None else after(now, policy.expiry)


def _action(stated: StatedAction) -> LifetimeAction:
    kind = next((kind for kind in ActionType if kind.value.lower() == (stated.type or "").lower()), None)
    if kind is None:
        raise BadRequest("Property type has invalid value\r\n")
    if (stated.after_create is None) == (stated.before_expiry is None):
        raise BadRequest(
            "The rotation policy is invalid: a trigger has either timeAfterCreate or timeBeforeExpiry, and not both."
        )
    return LifetimeAction(
        kind,
        after_create=None if stated.after_create is None else Duration.parse(stated.after_create),
        before_expiry=None if stated.before_expiry is None else Duration.parse(stated.before_expiry),
    )


def _check_rotate(rotate: LifetimeAction, expiry: Duration | None, shortest_days: int) -> None:
    if rotate.after_create is not None:
        if fewest_days(rotate.after_create) < shortest_days:
            raise BadRequest(
                f"The rotation policy is invalid: timeAfterCreate of Rotate must be at least P{shortest_days}D."
            )
        return
    assert rotate.before_expiry is not None
    if expiry is None:
        raise BadRequest("The rotation policy is invalid: timeBeforeExpiry of Rotate needs an expiryTime.")
    if fewest_days(rotate.before_expiry) < VAULT_RULES.shortest_days:
        raise BadRequest(
            f"The rotation policy is invalid: timeBeforeExpiry of Rotate must be at least "
            f"P{VAULT_RULES.shortest_days}D."
        )
    if fewest_days(expiry, less=rotate.before_expiry) < shortest_days:
        # Without a lower bound here a new version could be due for rotation as soon as it is made, again and again.
        raise BadRequest(
            "The rotation policy is invalid: between the creation of a version and timeBeforeExpiry of Rotate there "
            f"must be at least {shortest_days} days."
        )

"""Rotation on the wire: rotate, and the rotation policy of a name. Durations are texts here, checked by the model."""

from collections.abc import Mapping

import msgspec

from hsmvault.model.rotation import LifetimeAction, RotationPolicy, StatedAction, parse_policy
from hsmvault.resources.key_rotation import KeyRotation
from hsmvault.resources.refusals import invalid_property
from hsmvault.wire.answers import WireAnswer, ok
from hsmvault.wire.codec import decode_body
from hsmvault.wire.key_answers import answer_bundle
from hsmvault.wire.requests import Handler, Request

_MOST_ACTIONS = 16  # there can be one of each type; the model says so in its own words


class Trigger(msgspec.Struct, frozen=True):
    timeAfterCreate: str | None = None
    timeBeforeExpiry: str | None = None


class Action(msgspec.Struct, frozen=True):
    type: str | None = None


class LifetimeActions(msgspec.Struct, frozen=True):
    trigger: Trigger | None = None
    action: Action | None = None


class PolicyAttributes(msgspec.Struct, frozen=True):
    """created and updated are the server's: ignored when a client sends them."""

    expiryTime: str | None = None


class SetRotationPolicy(msgspec.Struct, frozen=True):
    """id is the server's: ignored when a client sends it back."""

    lifetimeActions: list[LifetimeActions] | None = None
    attributes: PolicyAttributes | None = None


class KeyRotations:
    def __init__(self, rotation: KeyRotation) -> None:
        self._rotation = rotation
        self.table: Mapping[str, Handler] = {
            "rotate_key": self._rotate,
            "get_key_rotation_policy": self._get_policy,
            "update_key_rotation_policy": self._set_policy,
        }

    async def _rotate(self, request: Request) -> WireAnswer:
        return answer_bundle(request, await self._rotation.rotate(request.container, request.name))

    async def _get_policy(self, request: Request) -> WireAnswer:
        return _answer(request, await self._rotation.get_policy(request.container, request.name))

    async def _set_policy(self, request: Request) -> WireAnswer:
        stated = stated_policy(decode_body(request.body, SetRotationPolicy))
        return _answer(request, await self._rotation.set_policy(request.container, request.name, stated))


def stated_policy(body: SetRotationPolicy) -> RotationPolicy:
    """Raises BadRequest."""
    actions = body.lifetimeActions or []
    if len(actions) > _MOST_ACTIONS:
        raise invalid_property("lifetimeActions")
    return parse_policy(
        [_stated(one) for one in actions], None if body.attributes is None else body.attributes.expiryTime
    )


def _stated(given: LifetimeActions) -> StatedAction:
    trigger, action = given.trigger or Trigger(), given.action or Action()
    return StatedAction(action.type, trigger.timeAfterCreate, trigger.timeBeforeExpiry)


def _answer(request: Request, policy: RotationPolicy) -> WireAnswer:
    """KeyRotationPolicy of the reference."""
    attributes: dict[str, object] = {"created": policy.created, "updated": policy.updated}
    if policy.expiry is not None:
        attributes["expiryTime"] = str(policy.expiry)
    identifier = f"{request.origin}/keys/{request.name}/rotationpolicy"
    members = {
        "id": identifier,
        "lifetimeActions": [_action(action) for action in policy.actions],
        "attributes": attributes,
    }
    return ok(members, f"{request.origin}/keys/{request.name}")


def _action(action: LifetimeAction) -> dict[str, object]:
    trigger = (
        {"timeAfterCreate": str(action.after_create)}
        if action.after_create is not None
        else {"timeBeforeExpiry": str(action.before_expiry)}
    )
    return {"trigger": trigger, "action": {"type": action.type.value}}

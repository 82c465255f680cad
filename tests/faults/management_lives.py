"""Vaults, pools, groups, people and roles that live their lives while everything is killed: what each may be then.

Each name is one client's, so that what was acknowledged last is what is there; only the act that had no answer may have
been done or not. Whoever had no answer asks once more, and gets one that says that it is done.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.caller import Answer, Caller, eventually
from tests.faults.management_wire import Site

_DONE = (200, 201, 202, 204)
_SECONDS = 60


class Hands(Caller):
    """What one client works with: a connection to each plane."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.arm, self.graph = site.arm(), site.graph()
        arm = self.arm.caller
        super().__init__(arm.port, site.ca_file, arm.host, arm.token)

    def close(self) -> None:
        for client in (self.arm, self.graph):
            client.caller.close()
        super().close()


Act = Callable[[Hands, str], Answer]


@dataclass(frozen=True)
class Step:
    """state: of the name afterwards. again: statuses that say that it was done before."""

    act: Act
    state: str
    again: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    look: Callable[[Hands, str], str]
    steps: Sequence[Step]


def _arm(
    method: str, place: Callable[[Site, str], str], path: str = "", body: Callable[[Site, str], Any] | None = None
) -> Act:
    def act(hands: Hands, name: str) -> Answer:
        content = None if body is None else body(hands.site, name)
        return hands.arm(method, place(hands.site, name) + path, content)

    return act


def _principal(name: str) -> str:
    """The same for every asking."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _vault(method: str, path: str = "", body: Callable[[Site, str], Any] | None = None) -> Act:
    return _arm(method, lambda site, name: site.vault_id(name), path, body)


def _pool(method: str, body: Callable[[Site, str], Any] | None = None) -> Act:
    return _arm(method, lambda site, name: site.pool_id(name), "", body)


def _policies(site: Site, name: str) -> Any:
    return {"properties": {"accessPolicies": [site.policy(_principal(name), secrets=["get"])]}}


def _look_at_vault(hands: Hands, name: str) -> str:
    site = hands.site
    found = hands.arm("GET", site.vault_id(name))
    if found.status == 200:
        return f"active {found.body['tags']} {len(found.body['properties']['accessPolicies'])}"
    return "deleted" if hands.arm("GET", site.deleted_vault(name)).status == 200 else "absent"


def _look_at_pool(hands: Hands, name: str) -> str:
    if hands.arm("GET", hands.site.pool_id(name)).status == 200:
        return "active"
    return "deleted" if hands.arm("GET", hands.site.deleted_pool(name)).status == 200 else "absent"


def _group(site: Site, name: str) -> str:
    return f"{site.subscription}/resourceGroups/{name}"


def _inside(site: Site, name: str) -> str:
    return site.vault_id(f"{name}-v", _group(site, name))


def _look_at_group(hands: Hands, name: str) -> str:
    site = hands.site
    group = "there" if hands.arm("GET", _group(site, name)).status == 200 else "absent"
    vault = "active" if hands.arm("GET", _inside(site, name)).status == 200 else "absent"
    if vault == "absent" and hands.arm("GET", site.deleted_vault(f"{name}-v")).status == 200:
        vault = "deleted"
    return f"{group} {vault}"


def _upn(name: str) -> str:
    return f"{name}@dev.hsmvault.invalid"


def _create_user(hands: Hands, name: str) -> Answer:
    body = {
        "displayName": name,
        "mailNickname": name,
        "userPrincipalName": _upn(name),
        "accountEnabled": True,
        "passwordProfile": {"password": "Vor-dem-Tor-steht-7-Linden"},
    }
    return hands.graph("POST", "/v1.0/users", body)


def _disable_user(hands: Hands, name: str) -> Answer:
    return hands.graph("PATCH", f"/v1.0/users/{_upn(name)}", {"accountEnabled": False})


def _delete_user(hands: Hands, name: str) -> Answer:
    return hands.graph("DELETE", f"/v1.0/users/{_upn(name)}")


def _look_at_user(hands: Hands, name: str) -> str:
    found = hands.graph("GET", f"/v1.0/users/{_upn(name)}?$select=accountEnabled")
    return "absent" if found.status == 404 else f"enabled {found.body['accountEnabled']}"


def _assignment(site: Site, name: str) -> str:
    return f"{site.group}/providers/Microsoft.Authorization/roleAssignments/{_principal(name)}"


def _given(description: str) -> Callable[[Site, str], Any]:
    def body(site: Site, name: str) -> Any:
        made = site.assignment("Reader", _principal(name))
        made["properties"] |= {"principalType": "User", "description": description}
        return made

    return body


def _look_at_assignment(hands: Hands, name: str) -> str:
    found = hands.arm("GET", _assignment(hands.site, name))
    return "absent" if found.status == 404 else f"given {found.body['properties']['description']}"


PLANS: Sequence[Plan] = (
    Plan(
        _look_at_vault,
        (
            Step(_vault("PUT", body=lambda site, _: site.vault_body(enableRbacAuthorization=False)), "active {} 0"),
            Step(_vault("PATCH", body=lambda _, __: {"tags": {"a": "b"}}), "active {'a': 'b'} 0"),
            Step(_vault("PUT", "/accessPolicies/add", _policies), "active {'a': 'b'} 1"),
            Step(_vault("DELETE"), "deleted"),
            Step(_vault("PUT", body=lambda site, _: site.vault_body(createMode="recover")), "active {'a': 'b'} 1"),
            Step(_vault("DELETE"), "deleted"),
            Step(_arm("POST", lambda site, name: site.deleted_vault(name), "/purge"), "absent", (404,)),
        ),
    ),
    Plan(
        _look_at_group,
        (
            Step(_arm("PUT", _group, body=lambda site, _: {"location": site.location}), "there absent"),
            Step(_arm("PUT", _inside, body=lambda site, _: site.vault_body()), "there active"),
            Step(_arm("DELETE", _group), "absent deleted", (404,)),
        ),
    ),
    Plan(
        _look_at_user,
        (
            Step(_create_user, "enabled True", (400,)),
            Step(_disable_user, "enabled False"),
            Step(_delete_user, "absent", (404,)),
        ),
    ),
    Plan(
        _look_at_assignment,
        (
            Step(_arm("PUT", _assignment, body=_given("first")), "given first"),
            Step(_arm("PUT", _assignment, body=_given("second")), "given second"),
            Step(_arm("DELETE", _assignment), "absent"),
        ),
    ),
    Plan(
        _look_at_pool,
        (
            Step(_pool("PUT", lambda site, _: site.pool_body(_principal("administrator"))), "active"),
            Step(_pool("DELETE"), "deleted"),
            Step(_arm("POST", lambda site, name: site.deleted_pool(name), "/purge"), "absent", (404,)),
        ),
    ),
)


@dataclass
class Life:
    """done: steps that were acknowledged. is_open: the next one was asked for and not answered."""

    name: str
    plan: Plan
    done: int = 0
    is_open: bool = False


class ManagementLives:
    """prefix: of the names. Each client lives one plan again and again; pools as often as there are worlds."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._current: dict[int, Life] = {}
        self.all: list[Life] = []

    @property
    def works(self) -> list[Callable[[Caller, int], Answer]]:
        """For crowd(), with Hands."""
        return [self._next] * len(PLANS)

    def _next(self, caller: Caller, number: int) -> Answer:
        assert isinstance(caller, Hands)
        slot = number % len(PLANS)
        life = self._current.get(slot)
        if life is None or life.done == len(life.plan.steps):
            life = Life(f"{self._prefix}-{number}", PLANS[slot])
            self._current[slot] = life
            self.all.append(life)
        step, was_open = life.plan.steps[life.done], life.is_open
        life.is_open = True
        answer = step.act(caller, life.name)
        if was_open and answer.status in step.again:
            answer = replace(answer, status=200)
        if answer.status in _DONE:
            life.done += 1
            life.is_open = False
        return answer

    def require_all(self, hands: Hands) -> None:
        """Each is as it may be; what had no answer is asked for once more; and what is left goes on to its end."""
        assert len({life.plan.look for life in self.all if life.done}) == len(PLANS), "every plan was begun"
        for life in self.all:
            self._require(life, hands)

    def _require(self, life: Life, hands: Hands) -> None:
        look, steps = life.plan.look, life.plan.steps
        last = steps[life.done - 1].state if life.done else _before(life.plan)
        if life.is_open:
            assert look(hands, life.name) in (last, steps[life.done].state), life
        elif last == "absent":
            self._await(life, hands, last)
        else:
            assert look(hands, life.name) == last, life
        for number in range(life.done, len(steps)):
            answer = steps[number].act(hands, life.name)
            again = steps[number].again if life.is_open and number == life.done else ()
            assert answer.status in (*_DONE, *again), (life, answer)
            self._await(life, hands, steps[number].state)

    @staticmethod
    def _await(life: Life, hands: Hands, state: str) -> None:
        """Purges take their time."""
        eventually(lambda: life.plan.look(hands, life.name) == state, _SECONDS, f"{life} is {state}")


def _before(plan: Plan) -> str:
    return "absent absent" if plan.look is _look_at_group else "absent"

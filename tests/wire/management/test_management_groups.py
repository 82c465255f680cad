"""Management groups on the wire: the tree, who may change it, and what moving a subscription takes."""

from typing import Any

from hsmvault.model import builtin_roles
from hsmvault.store import roles
from tests.pipeline.world import OBJECT_ID, TENANT
from tests.wire.management.conftest import Govern
from tests.wire.management.stage import NOBODY, READER, SUBSCRIPTION, THEIRS, ManagementService
from tests.wire.management.surroundings import give, surroundings

GROUPS = "/providers/Microsoft.Management/managementGroups"
ROOT = f"{GROUPS}/{TENANT}"
OWNER = builtin_roles.BY_NAME["Owner"].id


def body(display_name: str | None = None, parent: str | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {"displayName": display_name}
    if parent is not None:
        properties["details"] = {"parent": {"id": f"{GROUPS}/{parent}"}}
    return {"properties": properties}


async def have(service: ManagementService, *paths: str) -> None:
    """Groups, each below the one in front of the slash. The owner owns the root from now on."""
    await give(service, OBJECT_ID, OWNER, ROOT)
    for path in paths:
        parent, _, name = path.rpartition("/")
        made = await service.ask("PUT", f"{GROUPS}/{name}", body(name.upper(), parent or None))
        assert made.status == 200, made.body


async def test_a_group_is_made_shown_changed_and_deleted(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top", "top/left")
        shown = (await service.ask("GET", f"{GROUPS}/LEFT?api-version=2021-04-01")).json
        assert (shown["id"], shown["name"], shown["properties"]["displayName"]) == (f"{GROUPS}/left", "left", "LEFT")
        assert shown["properties"]["tenantId"] == TENANT
        assert shown["properties"]["details"]["parent"] == {
            "id": f"{GROUPS}/top",
            "name": "top",
            "displayName": "TOP",
        }
        patched = await service.ask("PATCH", f"{GROUPS}/left", {"displayName": "Links", "parentGroupId": ROOT})
        assert patched.json["properties"]["displayName"] == "Links"
        assert patched.json["properties"]["details"]["parent"]["id"] == ROOT
        listed = await service.ask("GET", GROUPS)
        assert [one["name"] for one in listed.json["value"]] == [TENANT, "left", "top"]
        assert (await service.ask("DELETE", f"{GROUPS}/left")).status == 204
        assert (await service.ask("DELETE", f"{GROUPS}/left")).status == 204
        assert (await service.ask("GET", f"{GROUPS}/left")).status == 404


async def test_the_root_group_is_there_and_stays_as_it_is(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service)
        root = (await service.ask("GET", f"{ROOT}?$expand=children&$recurse=true")).json
        assert root["properties"]["displayName"] == "Tenant Root Group"
        assert "parent" not in root["properties"]["details"]
        assert [child["name"] for child in root["properties"]["children"]] == [SUBSCRIPTION]
        for method, content in (("PUT", body("Other")), ("PATCH", {"displayName": "Other"})):
            assert (await service.ask(method, ROOT, content)).code == "InvalidManagementGroupName"
        assert (await service.ask("DELETE", ROOT)).status == 400
        assert (await service.ask("GET", ROOT)).json["properties"]["displayName"] == "Tenant Root Group"


async def test_a_tree_is_shown_to_the_depth_that_was_asked_for(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "a", "a/b", "b/c")
        flat = (await service.ask("GET", f"{GROUPS}/a?$expand=children")).json["properties"]["children"]
        assert [(one["name"], one["children"]) for one in flat] == [("b", [])]
        deep = (await service.ask("GET", f"{GROUPS}/a?$expand=children&$recurse=true")).json["properties"]["children"]
        assert deep[0]["children"][0]["name"] == "c"
        assert (await service.ask("GET", f"{GROUPS}/a?$expand=else")).code == "InvalidExpand"


async def test_what_makes_no_tree_is_refused(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "a", "a/b", "b/c", "c/d", "d/e", "e/f", "x", "x/y")
        for name, parent, code in (
            ("a", "c", "InvalidParent"),
            ("a", "a", "InvalidParent"),
            ("g", "f", "TooDeep"),
            ("g", "nobody", "NotFound"),
            ("g.", None, "InvalidManagementGroupName"),
            ("g%20h", None, "InvalidManagementGroupName"),
        ):
            assert (await service.ask("PUT", f"{GROUPS}/{name}", body("x", parent))).code == code
        assert (await service.ask("PUT", f"{GROUPS}/x", body("x", "e"))).code == "TooDeep"
        strange = {"properties": {"details": {"parent": {"id": "/subscriptions/x"}}}}
        assert (await service.ask("PUT", f"{GROUPS}/x", strange)).code == "InvalidParent"
        assert (await service.ask("DELETE", f"{GROUPS}/a")).code == "ManagementGroupHasChildren"


async def test_groups_are_made_by_who_may_write_at_the_parent(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top")
        nobody = service.of(NOBODY)
        assert (await service.ask("PUT", f"{GROUPS}/mine", body(), token=nobody)).code == "AuthorizationFailed"
        await give(service, NOBODY, OWNER, f"{GROUPS}/top")
        assert (await service.ask("PUT", f"{GROUPS}/mine", body(), token=nobody)).code == "AuthorizationFailed"
        assert (await service.ask("PUT", f"{GROUPS}/mine", body("Mine", "top"), token=nobody)).status == 200
        moved = await service.ask("PUT", f"{GROUPS}/mine", body("Mine", TENANT), token=nobody)
        assert moved.code == "AuthorizationFailed"
        shown = await service.ask("GET", GROUPS, token=nobody)
        assert [one["name"] for one in shown.json["value"]] == ["mine", "top"]


async def test_a_moved_subscription_gets_the_roles_of_its_new_group_at_once(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top")
        nobody = service.of(NOBODY)
        await give(service, NOBODY, builtin_roles.BY_NAME["Reader"].id, f"{GROUPS}/top")
        here = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg"
        assert (await service.ask("GET", here, token=nobody)).status == 403
        moved = await service.ask("PUT", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}")
        assert (moved.status, moved.json["properties"]["displayName"]) == (200, "Ours")
        assert (await service.ask("GET", here, token=nobody)).status == 200
        inside = await service.ask("GET", f"{GROUPS}/top/subscriptions")
        assert [one["name"] for one in inside.json["value"]] == [SUBSCRIPTION]
        assert (await service.ask("GET", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}")).status == 200
        assert (await service.ask("DELETE", f"{GROUPS}/top")).code == "ManagementGroupHasChildren"
        assert (await service.ask("DELETE", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}")).status == 200
        assert (await service.ask("GET", here, token=nobody)).status == 403
        assert (await service.ask("DELETE", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}")).status == 204


async def test_moving_a_subscription_takes_the_right_to_give_roles_in_it(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top")
        await give(service, READER, OWNER, f"{GROUPS}/top")
        refused = await service.ask("PUT", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}", token=service.of(READER))
        assert (refused.status, refused.code) == (403, "AuthorizationFailed")
        theirs = await service.ask("PUT", f"{GROUPS}/top/subscriptions/{THEIRS}")
        assert (theirs.status, theirs.code) == (404, "SubscriptionNotFound")


async def test_who_reads_a_group_does_not_read_the_subscriptions_beside_it(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top")
        await give(service, NOBODY, OWNER, f"{GROUPS}/top")
        hidden = await service.ask("GET", f"{GROUPS}/top/subscriptions/{SUBSCRIPTION}", token=service.of(NOBODY))
        assert (hidden.status, hidden.code) == (404, "NotFound")
        assert (await service.ask("GET", f"{ROOT}/subscriptions/{SUBSCRIPTION}")).status == 200


async def test_moving_a_group_takes_the_right_to_give_roles_in_it(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "victims", "mine")
        await service.ask("PUT", f"{GROUPS}/victims/subscriptions/{SUBSCRIPTION}")
        await give(service, NOBODY, builtin_roles.BY_NAME["Contributor"].id, ROOT)  # writes every group
        await give(service, NOBODY, OWNER, f"{GROUPS}/mine")
        nobody = service.of(NOBODY)
        for method, content in (("PUT", body("V", "mine")), ("PATCH", {"parentGroupId": f"{GROUPS}/mine"})):
            refused = await service.ask(method, f"{GROUPS}/victims", content, token=nobody)
            assert (refused.status, refused.code) == (403, "AuthorizationFailed")
            assert "roleAssignments/write" in refused.json["error"]["message"]
        assert (await service.ask("PATCH", f"{GROUPS}/victims", {"displayName": "V"}, token=nobody)).status == 200
        assert (await service.ask("PUT", f"{GROUPS}/victims", body("V", "mine"))).status == 200


async def test_a_deleted_group_takes_its_role_assignments_along(govern: Govern) -> None:
    async with govern(surroundings) as service:
        await have(service, "top")
        await give(service, NOBODY, OWNER, f"{GROUPS}/top")
        await service.ask("DELETE", f"{GROUPS}/top")
        async with service.parts.database.read() as tx:
            assert await roles.assignments_of(tx, [NOBODY]) == []

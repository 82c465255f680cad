"""The Graph subset as `az ad` calls it: shapes, errors, pages, and revocation on the next request."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.model.directory import DirectoryRole
from tests.login.world import certificate, der
from tests.pipeline.world import LOGIN, OTHER_TENANT
from tests.resources.directory_stage import PASSWORD
from tests.wire.graph_stage import ROOT, Graph, graph_stage

NOBODY = "99999999-0000-0000-0000-000000000000"
GLOBAL = DirectoryRole.GLOBAL_ADMINISTRATOR


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Graph]:
    async with graph_stage(tmp_path) as graph:
        yield graph


def reference(object_id: str) -> dict[str, str]:
    return {"@odata.id": f"{ROOT}/directoryObjects/{object_id}"}


async def a_user(graph: Graph, name: str) -> dict[str, object]:
    profile = {"password": PASSWORD, "forceChangePasswordNextSignIn": False}
    body = {"userPrincipalName": f"{name}@dev.example", "displayName": name, "passwordProfile": profile}
    answer = await graph.call("POST", "/users", body | {"mailNickname": name, "accountEnabled": True})
    assert answer.status == 201, answer.body
    return answer.body


async def an_application(graph: Graph, name: str, **more: object) -> dict[str, object]:
    answer = await graph.call("POST", "/applications", {"displayName": name, "keyCredentials": []} | more)
    assert answer.status == 201, answer.body
    return answer.body


async def test_a_call_without_a_good_token_is_unauthorized_in_graphs_words(graph: Graph) -> None:
    owner = graph.stage.administrators[GLOBAL]
    other = graph.world.token(graph.world.claims(iss=f"{LOGIN}/{OTHER_TENANT}/", aud="x", oid=owner))
    for token in ("", "rubbish", other, graph.token(owner, aud="https://vault.localhost:8443"), graph.token(NOBODY)):
        answer = await graph.call("GET", "/users", token=token)
        assert (answer.status, answer.code) == (401, "InvalidAuthenticationToken"), token
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="", authorization_uri="https://login.')
        inner = answer.body["error"]["innerError"]
        assert inner["request-id"] == answer.headers["request-id"] and set(inner) == {
            "date",
            "request-id",
            "client-request-id",
        }


async def test_me_is_for_people(graph: Graph) -> None:
    user = await a_user(graph, "ada")
    me = await graph.call("GET", "/me", token=graph.person(user["id"]))
    assert (me.status, me.body["id"], me.body["userPrincipalName"]) == (200, user["id"], "ada@dev.example")
    refused = await graph.call("GET", "/me")
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert refused.body["error"]["message"] == "/me request is only valid with delegated authentication flow."


async def test_users_as_az_calls_them(graph: Graph) -> None:
    user = await a_user(graph, "ada")
    assert user["@odata.context"] == f"{ROOT}/$metadata#users/$entity"
    assert user["passwordProfile"] is None and PASSWORD not in str(user) and "hash" not in str(user)
    for path in (
        f"/users/{user['id']}",
        "/users/ADA@dev.example",
        "/users('ada@dev.example')",
        "//users//ada@dev.example",
    ):
        assert (await graph.call("GET", path)).body["id"] == user["id"], path
    found = await graph.call("GET", "/users?$filter=userPrincipalName%20eq%20%27ada%40dev.example%27")
    assert found.ids == [user["id"]]
    assert (await graph.call("GET", "/users?$filter=startswith(displayName,'AD')")).ids == [user["id"]]
    body = {"displayName": "Ada L", "accountEnabled": "false", "department": "Engines", "givenName": "Ada"}
    assert (await graph.call("PATCH", "/users/ada@dev.example", body)).status == 204
    shown = (await graph.call("GET", "/users/ada@dev.example?$select=displayName,accountEnabled,department")).body
    assert {name: value for name, value in shown.items() if name[0] != "@"} == {
        "displayName": "Ada L",
        "accountEnabled": False,
        "department": "Engines",
    }
    assert (await graph.call("DELETE", f"/users/{user['id']}")).status == 204
    gone = await graph.call("GET", f"/users/{user['id']}")
    assert (gone.status, gone.code) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "Request_BadRequest"),
        ({"displayName": "x", "userPrincipalName": "x@dev.example"}, "Request_BadRequest"),
        ({"displayName": "x", "userPrincipalName": "x@else.example", "passwordProfile": {"password": PASSWORD}}, None),
        ({"displayName": "x", "userPrincipalName": "x@dev.example", "passwordProfile": {"password": "weak"}}, None),
        ({"displayName": 3, "userPrincipalName": "x@dev.example", "passwordProfile": {"password": PASSWORD}}, None),
        (
            {
                "displayName": "x",
                "userPrincipalName": "x@dev.example",
                "passwordProfile": {"password": PASSWORD},
                "z": 1,
            },
            None,
        ),
    ],
)
async def test_a_bad_user_is_refused_and_nothing_changes(
    graph: Graph, body: dict[str, object], code: str | None
) -> None:
    answer = await graph.call("POST", "/users", body)
    assert (answer.status, answer.code) == (400, code or "Request_BadRequest")
    assert PASSWORD not in answer.body["error"]["message"]
    assert (await graph.call("GET", "/users/$count")).body == "0"


async def test_a_token_ends_on_the_next_request_after_a_reset_and_a_lock(graph: Graph) -> None:
    user = await a_user(graph, "ada")
    token = graph.person(user["id"])
    assert (await graph.call("GET", "/me", token=token)).status == 200
    profile = {"passwordProfile": {"password": PASSWORD + "x"}}
    assert (await graph.call("PATCH", f"/users/{user['id']}", profile)).status == 204
    assert (await graph.call("GET", "/me", token=token)).status == 401
    graph.stage.clock.move(2)
    fresh = graph.person(user["id"])
    assert (await graph.call("POST", "/me/revokeSignInSessions", token=fresh)).body["value"] is True
    assert (await graph.call("GET", "/me", token=fresh)).status == 401
    graph.stage.clock.move(2)
    fresh = graph.person(user["id"])
    assert (await graph.call("GET", "/me", token=fresh)).status == 200
    await graph.call("PATCH", f"/users/{user['id']}", {"accountEnabled": False})
    assert (await graph.call("GET", "/me", token=fresh)).status == 401


async def test_a_persons_token_ends_with_the_application_that_it_came_through(graph: Graph) -> None:
    user, application = await a_user(graph, "ada"), await an_application(graph, "app")
    principal = (await graph.call("POST", "/servicePrincipals", {"appId": application["appId"]})).body
    token = graph.token(user["id"], scp="user_impersonation", idtyp="user", appid=application["appId"])
    assert (await graph.call("GET", "/me", token=token)).status == 200
    await graph.call("PATCH", f"/servicePrincipals/{principal['id']}", {"accountEnabled": False})
    assert (await graph.call("GET", "/me", token=token)).status == 401
    await graph.call("PATCH", f"/servicePrincipals/{principal['id']}", {"accountEnabled": True})
    assert (await graph.call("GET", "/me", token=token)).status == 200
    await graph.call("DELETE", f"/applications/{application['id']}")
    assert (await graph.call("GET", "/me", token=token)).status == 401


async def test_groups_members_and_owners(graph: Graph) -> None:
    user = await a_user(graph, "ada")
    new = {"displayName": "g", "mailNickname": "g", "mailEnabled": False, "securityEnabled": True}
    group = (await graph.call("POST", "/groups", new | {"description": "d"})).body
    outer = (
        await graph.call("POST", "/groups", new | {"members@odata.bind": [reference(group["id"])["@odata.id"]]})
    ).body
    path = f"/groups/{group['id']}"
    assert (await graph.call("POST", f"{path}/members/$ref", reference(user["id"]))).status == 204
    again = await graph.call("POST", f"{path}/members/$ref", reference(user["id"]))
    assert (again.status, again.code) == (400, "Request_BadRequest")
    assert "already exist" in again.body["error"]["message"]
    (member,) = (await graph.call("GET", f"{path}/members")).body["value"]
    assert (member["@odata.type"], member["id"]) == ("#microsoft.graph.user", user["id"])
    assert (await graph.call("GET", f"/groups/{outer['id']}/transitiveMembers")).ids == sorted(
        [group["id"], user["id"]]
    )
    member_groups = await graph.call("POST", f"/users/{user['id']}/getMemberGroups", {"securityEnabledOnly": False})
    assert member_groups.body["value"] == sorted([group["id"], outer["id"]])
    checked = {"groupIds": [outer["id"], NOBODY]}
    answer = await graph.call("POST", f"/directoryObjects/{user['id']}/checkMemberGroups", checked)
    assert answer.body["value"] == [outer["id"]]
    assert (await graph.call("GET", "/users/ada@dev.example/memberOf")).ids == [group["id"]]
    assert (await graph.call("POST", f"{path}/owners/$ref", reference(user["id"]))).status == 204
    assert (await graph.call("GET", f"{path}/owners")).ids == [user["id"]]
    owned = await graph.call("GET", "/me/ownedObjects", token=graph.person(user["id"]))
    assert owned.ids == [group["id"]]
    assert (await graph.call("DELETE", f"{path}/owners/{user['id']}/$ref")).status == 204
    assert (await graph.call("DELETE", f"{path}/members/{user['id']}/$ref")).status == 204
    assert (await graph.call("DELETE", f"{path}/members/{user['id']}/$ref")).status == 404
    query = "/groups?$filter=displayName eq 'g' and mailNickname eq 'g'".replace(" ", "%20")
    assert set((await graph.call("GET", query)).ids) == {group["id"], outer["id"]}
    assert (await graph.call("POST", "/groups", new | {"mailEnabled": True})).status == 400
    assert (await graph.call("DELETE", path)).status == 204


async def test_a_change_of_a_group_is_done_as_a_whole_or_not_at_all(graph: Graph) -> None:
    user = await a_user(graph, "eve")
    group = (await graph.call("POST", "/groups", {"displayName": "before", "mailEnabled": False})).body
    members = [f"{ROOT}/directoryObjects/{id}" for id in (user["id"], NOBODY)]
    refused = await graph.call(
        "PATCH", f"/groups/{group['id']}", {"displayName": "after", "members@odata.bind": members}
    )
    assert (refused.status, refused.code) == (404, "Request_ResourceNotFound")
    assert (await graph.call("GET", f"/groups/{group['id']}")).body["displayName"] == "before"
    assert (await graph.call("GET", f"/groups/{group['id']}/members")).ids == []


async def test_a_large_body_of_many_small_parts_is_not_read(graph: Graph) -> None:
    refused = await graph.call("POST", "/directoryObjects/getByIds", {"ids": ["x"] * 150_000})
    assert (refused.status, refused.code) == (400, "Request_BadRequest")
    assert "too many members" in refused.body["error"]["message"]


async def test_what_is_kept_is_not_nested_so_deep_that_lists_break(graph: Graph) -> None:
    user = await a_user(graph, "eve")
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    for path, member in ((f"/users/{user['id']}", "otherMails"), ("/applications", "tags")):
        body = {member: deep} if path != "/applications" else {"displayName": "a", member: deep}
        refused = await graph.call("PATCH" if path != "/applications" else "POST", path, body)
        assert (refused.status, refused.code) == (400, "Request_BadRequest")
    assert (await graph.call("PATCH", f"/users/{user['id']}", {"otherMails": [["a"]]})).status == 204
    assert (await graph.call("GET", "/users")).status == 200


async def test_applications_and_service_principals_as_create_for_rbac_makes_them(graph: Graph) -> None:
    assert (await graph.call("GET", "/servicePrincipals?$filter=displayName%20eq%20'rbac'")).body["value"] == []
    application = await an_application(graph, "rbac")
    assert application["passwordCredentials"] == application["keyCredentials"] == []
    wanted = {"displayName": "rbac", "startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2027-01-01T00:00:00Z"}
    path = f"/applications/{application['id']}"
    made = (await graph.call("POST", f"{path}/addPassword", {"passwordCredential": wanted})).body
    assert made["secretText"][:3] == made["hint"] and {name: made[name] for name in wanted} == wanted
    body = {"appId": application["appId"], "accountEnabled": True}
    principal = (await graph.call("POST", "/servicePrincipals", body)).body
    assert principal["servicePrincipalNames"] == [application["appId"]]
    again = await graph.call("POST", "/servicePrincipals", body)
    assert (again.status, again.code) == (409, "Request_MultipleObjectsWithSameKeyValue")
    for shown in (
        (await graph.call("GET", path)).body,
        (await graph.call("GET", f"/applications(appId='{application['appId']}')")).body,
        (await graph.call("GET", f"/servicePrincipals(appId='{application['appId']}')")).body,
        (await graph.call("GET", f"/servicePrincipals/{principal['id']}")).body,
        (await graph.call("GET", f"/applications?$filter=appId%20eq%20'{application['appId']}'")).body["value"][0],
    ):
        (password,) = shown["passwordCredentials"]
        assert (password["keyId"], password["secretText"], password["hint"]) == (made["keyId"], None, made["hint"])
        assert made["secretText"] not in str(shown)
    names = f"/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'{application['appId']}')"
    assert (await graph.call("GET", names)).ids == [principal["id"]]
    assert (await graph.call("POST", f"{path}/removePassword", {"keyId": made["keyId"]})).status == 204
    assert (await graph.call("POST", f"{path}/removePassword", {"keyId": made["keyId"]})).status == 400
    unknown = await graph.call("POST", "/servicePrincipals", {"appId": NOBODY})
    assert unknown.status == 400 and " does not reference " in unknown.body["error"]["message"]


async def test_keys_of_an_application_come_go_and_stay_as_the_list_says(graph: Graph) -> None:
    made = certificate(rsa.generate_private_key(65537, 2048))
    forms = (der(made), made.public_bytes(Encoding.PEM))
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "displayName": "cert", "keyId": NOBODY}
    for content in forms:
        credential = key | {"key": base64.encodebytes(content).decode()}  # with line ends, as az --create-cert
        application = await an_application(graph, "keyed", keyCredentials=[credential])
        (shown,) = application["keyCredentials"]
        assert shown["key"] is None and len(shown["customKeyIdentifier"]) == 40
        path = f"/applications/{application['id']}"
        selected = (await graph.call("GET", f"{path}?$select=keyCredentials")).body["keyCredentials"]
        assert selected[0]["key"] == base64.b64encode(forms[0]).decode()
        assert (await graph.call("PATCH", path, {"keyCredentials": [shown]})).status == 204
        assert (await graph.call("GET", path)).body["keyCredentials"] == [shown]
        assert (await graph.call("PATCH", path, {"keyCredentials": []})).status == 204
        assert (await graph.call("GET", path)).body["keyCredentials"] == []
    for broken in (key | {"key": "?"}, key | {"key": "AAAA"}, key, key | {"type": "Symmetric", "key": "AAAA"}):
        answer = await graph.call("PATCH", path, {"keyCredentials": [broken]})
        assert answer.status in (400, 404), broken


async def test_properties_of_an_application_are_set_and_read_back(graph: Graph) -> None:
    application = await an_application(
        graph,
        "app",
        identifierUris=["api://app"],
        web={"redirectUris": ["https://app.example/cb"], "homePageUrl": "https://app.example"},
        publicClient={"redirectUris": ["http://localhost"]},
        requiredResourceAccess=[{"resourceAppId": NOBODY, "resourceAccess": []}],
        isFallbackPublicClient=True,
    )
    path = f"/applications/{application['id']}"
    assert (
        await graph.call("PATCH", path, {"web": {"logoutUrl": "https://app.example/out"}, "notes": "n"})
    ).status == 204
    shown = (await graph.call("GET", path)).body
    assert shown["web"] == {
        "homePageUrl": "https://app.example",
        "logoutUrl": "https://app.example/out",
        "redirectUris": ["https://app.example/cb"],
    }
    assert (shown["publicClient"], shown["isFallbackPublicClient"]) == ({"redirectUris": ["http://localhost"]}, True)
    assert (shown["notes"], shown["requiredResourceAccess"][0]["resourceAppId"]) == ("n", NOBODY)
    assert (await graph.call("GET", "/applications?$filter=identifierUris/any(s:s%20eq%20'api://app')")).ids == [
        shown["id"]
    ]
    assert (await graph.call("PATCH", path, {"unknown": 1})).status == 400
    assert (await graph.call("PATCH", path, {"passwordCredentials": [{}]})).status == 400
    assert (await graph.call("PATCH", path, {"notes": None})).status == 204
    assert (await graph.call("GET", path)).body["notes"] is None


async def test_federated_credentials(graph: Graph) -> None:
    application = await an_application(graph, "app")
    path = f"/applications/{application['id']}/federatedIdentityCredentials"
    body = {"name": "ci-main", "issuer": "https://ci.example", "subject": "main", "audiences": ["api://x"]}
    made = await graph.call("POST", path, body)
    assert made.status == 201 and {name: made.body[name] for name in body} == body
    again = await graph.call("POST", path, body)
    assert (again.status, again.code) == (409, "Request_MultipleObjectsWithSameKeyValue")
    assert (await graph.call("PATCH", f"{path}/ci-main", {"subject": "other"})).status == 204
    for name in ("CI-MAIN", made.body["id"]):
        assert (await graph.call("GET", f"{path}/{name}")).body["subject"] == "other"
    assert (await graph.call("GET", path)).ids == [made.body["id"]]
    assert (await graph.call("DELETE", f"{path}/ci-main")).status == 204
    assert (await graph.call("GET", f"{path}/ci-main")).status == 404


async def test_objects_by_id_come_with_their_types(graph: Graph) -> None:
    user, application = await a_user(graph, "ada"), await an_application(graph, "app")
    owner = graph.stage.administrators[GLOBAL]
    body = {"ids": [owner, NOBODY, user["id"], "x"], "types": ["user", "group", "servicePrincipal"]}
    found = (await graph.call("POST", "/directoryObjects/getByIds", body)).body["value"]
    assert [(one["@odata.type"], one["id"]) for one in found] == [
        ("#microsoft.graph.servicePrincipal", owner),
        ("#microsoft.graph.user", user["id"]),
    ]
    every = {"ids": [application["id"], user["id"]]}
    assert len((await graph.call("POST", "/directoryObjects/getByIds", every)).body["value"]) == 2
    one = await graph.call("GET", f"/directoryObjects/{application['id']}")
    assert one.body["@odata.type"] == "#microsoft.graph.application"
    assert (await graph.call("DELETE", f"/directoryObjects/{user['id']}")).status == 204
    assert (await graph.call("GET", f"/directoryObjects/{user['id']}")).status == 404


async def test_roles_both_ways(graph: Graph) -> None:
    user, reader = await a_user(graph, "ada"), DirectoryRole.DIRECTORY_READERS.value
    body = {"roleDefinitionId": reader, "principalId": user["id"], "directoryScopeId": "/"}
    made = await graph.call("POST", "/roleManagement/directory/roleAssignments", body)
    assert made.status == 201
    assert (await graph.call("POST", "/roleManagement/directory/roleAssignments", body)).status == 409
    query = f"/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20'{user['id']}'"
    assert (await graph.call("GET", query)).ids == [made.body["id"]]
    members = f"/directoryRoles(roleTemplateId='{reader}')/members"
    assert user["id"] in (await graph.call("GET", members)).ids
    assert (await graph.call("DELETE", f"/roleManagement/directory/roleAssignments/{made.body['id']}")).status == 204
    assert (await graph.call("POST", f"/directoryRoles/{reader}/members/$ref", reference(user["id"]))).status == 204
    assert (await graph.call("DELETE", f"/directoryRoles/{reader}/members/{user['id']}/$ref")).status == 204
    assert len((await graph.call("GET", "/directoryRoles")).ids) == len(DirectoryRole)
    last = graph.stage.administrators[GLOBAL]
    refused = await graph.call("DELETE", f"/roleManagement/directory/roleAssignments/{last}_{GLOBAL.value}")
    assert refused.status == 400


async def test_lists_come_by_pages_and_keep_their_query(graph: Graph) -> None:
    ids = sorted([(await graph.stage.user(f"user-{number}")).object_id for number in range(5)])
    found: list[str] = []
    path = "/users?$top=2&$filter=startswith(displayName,'user')&$select=id,displayName"
    pages = 0
    while path:
        page = await graph.call("GET", path)
        assert all(set(one) == {"id", "displayName"} for one in page.body["value"])
        found += page.ids
        path = page.body.get("@odata.nextLink", "")
        pages += 1
    assert (found, pages) == (ids, 3)
    counted = await graph.call("GET", "/users?$top=1&$count=true")
    assert (counted.body["@odata.count"], len(counted.ids)) == (5, 1)
    assert (await graph.call("GET", '/users?$search="displayName:user-3"')).body["value"][0]["displayName"] == "user-3"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/users?$orderby=displayName", "Request_UnsupportedQuery"),
        ("/users?$expand=manager", "Request_UnsupportedQuery"),
        ("/users?$filter=nonsense", "Request_BadRequest"),
        ("/users?$top=0", "Request_BadRequest"),
        ("/users?$top=1000", "Request_BadRequest"),
        ("/users?$skiptoken=x", "Directory_ExpiredPageToken"),
        ("/users?$top=1&$top=2", "Request_BadRequest"),
        ("/nothing", "Request_BadRequest"),
        ("/users/%FF", "Request_BadRequest"),
    ],
)
async def test_a_bad_query_is_refused(graph: Graph, path: str, code: str) -> None:
    answer = await graph.call("GET", path)
    assert (answer.status, answer.code) == (400, code)


async def test_who_may_not_hears_so_and_everybody_reads(graph: Graph) -> None:
    user = await a_user(graph, "ada")
    token = graph.person(user["id"])
    for method, path, body in (
        ("POST", "/applications", {"displayName": "x"}),
        ("POST", "/groups", {"displayName": "x"}),
        ("PATCH", f"/users/{user['id']}", {"displayName": "x"}),
        (
            "POST",
            "/roleManagement/directory/roleAssignments",
            {"roleDefinitionId": GLOBAL.value, "principalId": user["id"]},
        ),
    ):
        answer = await graph.call(method, path, body, token=token)
        assert (answer.status, answer.code) == (403, "Authorization_RequestDenied"), path
    for path in ("/users", "/groups", "/applications", "/servicePrincipals", "/directoryRoles", "/organization"):
        assert (await graph.call("GET", path, token=token)).status == 200, path
    assert (await graph.call("GET", "/users", token=token, version="beta")).status == 200
    assert (await graph.call("GET", "/users", token=token, version="v2.0")).status == 400
    assert (await graph.call("PUT", "/users", token=token)).status == 405


async def test_every_call_is_recorded_and_holds_no_secret(graph: Graph) -> None:
    application = await an_application(graph, "app")
    made = (await graph.call("POST", f"/applications/{application['id']}/addPassword")).body
    await graph.call("GET", f"/users/{NOBODY}?$select=id")
    await graph.call("GET", "/users", token="rubbish")
    names = [(record["operationName"], record["properties"]["httpStatusCode"]) for record in graph.records]
    assert names == [
        ("ApplicationCreate", 201),
        ("ApplicationPasswordAdd", 200),
        ("UserGet", 404),
        ("Authentication", 401),
    ]
    text = graph.audit_path.read_text()
    assert made["secretText"] not in text and "$select" not in text
    assert graph.stage.tenant.id.upper() in text and graph.stage.administrators[GLOBAL] in text

"""Whatever is sent to the issuer, and wherever to: an answer of its own below 500, and nothing is kept of it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsmvault.login.refusals import ALL
from hsmvault.model.directory import AZURE_CLI
from hsmvault.model.principals import Principal
from tests.login.people import CHALLENGE, PASSWORD, REDIRECT, VERIFIER
from tests.login.world import Answer, World

CODES = {refusal.code for refusal in ALL}
SOME = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(SOME, max_examples=1500)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_PATHS = ("oauth2/v2.0/token", "oauth2/token")
DEVICE_PATHS = ("oauth2/v2.0/devicecode", "oauth2/devicecode")


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Another number after every commit by anybody else."""
    with closing(sqlite3.connect(f"file:{folder / 'login.db'}?mode=ro", uri=True)) as database:
        before = database.execute("PRAGMA data_version").fetchone()
        yield
        assert database.execute("PRAGMA data_version").fetchone() == before, "a refusal has changed something"


def grants(world: World) -> dict[str, dict[str, str]]:
    """A form for each grant, with everything that it needs; codes and tokens in it are nobody's."""
    client = {"client_id": world.owner.application_id, "client_secret": world.secret}
    scope = {"scope": f"{world.vault}/.default", "resource": ""}
    person = {"client_id": AZURE_CLI, **scope}
    return {
        "client_credentials": {"grant_type": "client_credentials", **client, **scope},
        "authorization_code": {
            "grant_type": "authorization_code",
            **person,
            "code": "nobodys",
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        },
        "device_code": {"grant_type": DEVICE, **person, "device_code": "nobodys"},
        "refresh_token": {"grant_type": "refresh_token", **person, "refresh_token": "nobodys"},
        "password": {"grant_type": "password", **person, "username": "ada@dev.example", "password": PASSWORD},
        "on_behalf_of": {
            "grant_type": BEARER,
            **client,
            **scope,
            "assertion": "a.b.c",
            "requested_token_use": "on_behalf_of",
        },
    }


def check(answer: Answer) -> None:
    """A refusal of the token endpoint."""
    assert 400 <= answer.status < 500, answer.text
    assert answer.code in CODES
    assert {"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"} <= set(answer.json)


async def post(world: World, path: str, form: dict[str, str]) -> Answer:
    return await world.post(path, {name: value for name, value in form.items() if value})


WRONG = ("x", "\u00e4", "\x00", "' OR 1=1 --", "a" * 3000, "%00", "{tenant}", "a.b.c")


@pytest.mark.parametrize("path", TOKEN_PATHS)
async def test_every_grant_without_one_of_its_parameters_or_with_a_wrong_one_is_refused(
    world: World, ada: Principal, tmp_path: Path, path: str
) -> None:
    target = f"/{world.tenant.id}/{path}"
    with unchanged(tmp_path):
        for name, form in grants(world).items():
            given_form = dict(form)
            if path == "oauth2/token":
                given_form |= {"scope": "", "resource": world.vault}
            if name != "client_credentials":
                check(await post(world, target, given_form))
            for parameter in [one for one, value in given_form.items() if value]:
                check(await post(world, target, given_form | {parameter: ""}))
                check(await post(world, target, given_form | {parameter: WRONG[len(parameter) % len(WRONG)]}))


@pytest.mark.parametrize("path", DEVICE_PATHS)
async def test_a_device_without_an_application_of_its_tenant_gets_no_code(
    world: World, tmp_path: Path, path: str
) -> None:
    target = f"/{world.tenant.id}/{path}"
    good = {"client_id": AZURE_CLI, "scope": f"{world.vault}/.default"}
    with unchanged(tmp_path):
        for wrong in (
            {"client_id": ""},
            {"client_id": "x"},
            {"client_id": world.stranger.application_id},
            {"scope": "https://elsewhere.example/.default", "resource": "https://elsewhere.example"},
            {"scope": "a b c d", "resource": "x"},
        ):
            check(await post(world, target, good | wrong))
        for method_path in (target, target + "/"):
            assert (await world.get(method_path)).code == 900561


@pytest.mark.parametrize("tenant", ["never-was", "never-was.example", "%00", "a" * 300, "..", "22222222"])
async def test_a_tenant_that_is_none_is_not_found(world: World, tmp_path: Path, tenant: str) -> None:
    with unchanged(tmp_path):
        for path in (*TOKEN_PATHS, *DEVICE_PATHS):
            answer = await post(world, f"/{tenant}/{path}", world.form())
            assert answer.status in (400, 404), answer.text
            assert answer.code in (90002, 90014)


NAMES = st.sampled_from(
    [
        *("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"),
        *("code", "redirect_uri", "code_verifier", "device_code", "refresh_token", "username", "password", "assertion"),
        *("requested_token_use", "client_info", "claims", "state", "nonce", "response_type", "response_mode", "prompt"),
        *("code_challenge", "code_challenge_method", "login_hint", "max_age", "user_code", "action", "csrf"),
    ]
)
VALUES = st.text(max_size=20) | st.sampled_from(
    [
        *(
            "client_credentials",
            "authorization_code",
            DEVICE,
            "refresh_token",
            "password",
            BEARER,
            ASSERTION,
            AZURE_CLI,
        ),
        *(
            REDIRECT,
            CHALLENGE,
            "S256",
            "plain",
            "code",
            "query",
            "fragment",
            "form_post",
            "none",
            "login",
            "a.b.c",
            "1",
        ),
        *("https://vault.localhost:8443/.default openid", "on_behalf_of", "http://localhost", "javascript:alert(1)"),
    ]
)
FORMS = st.dictionaries(NAMES, VALUES, max_size=9)
REALMS = st.sampled_from(["common", "organizations", "consumers", "adfs", "dev.example", "{tenant}", "x"])
PATHS = st.sampled_from(
    [
        *(f"/{{realm}}/{path}" for path in (*TOKEN_PATHS, *DEVICE_PATHS, "oauth2/v2.0/authorize", "oauth2/authorize")),
        *(
            "/{realm}/oauth2/v2.0/logout",
            "/device",
            "/devicelogin",
            "/{realm}/userrealm/a@b",
            "/{realm}/discovery/keys",
        ),
        *("/common/discovery/instance", "/{realm}/v2.0/.well-known/openid-configuration", "/{realm}/nowhere", "/"),
    ]
)


async def _answered(world: World, realm: str, path: str, form: dict[str, str], *, posts: bool) -> None:
    target = path.format(realm=quote(realm.format(tenant=world.tenant.id)))
    encoded = urlencode(form)
    if posts:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with world.session.post(
            world.url + target, data=encoded, headers=headers, allow_redirects=False
        ) as response:
            answer = await Answer.read(response)
    else:
        answer = await world.get(f"{target}?{encoded}")
    assert answer.status < 500, (target, form, answer.text)
    if answer.status >= 400 and answer.json:
        assert answer.code in CODES
    location: Any = answer.headers
    assert not location.get("Location", "").lower().startswith(("javascript:", "data:"))


@SOME
@given(realm=REALMS, path=PATHS, form=FORMS, posts=st.booleans())
async def test_whatever_is_asked_the_answer_is_one(
    world: World, realm: str, path: str, form: dict[str, str], posts: bool
) -> None:
    await _answered(world, realm, path, form, posts=posts)


@pytest.mark.slow
@MANY
@given(realm=REALMS, path=PATHS, form=FORMS, posts=st.booleans())
async def test_whatever_much_is_asked_the_answer_is_one(
    world: World, realm: str, path: str, form: dict[str, str], posts: bool
) -> None:
    await _answered(world, realm, path, form, posts=posts)

"""Somebody leaves, or loses a password: whatever the person was given ends at once, at every worker.

That is an access token, over connections that stay open; a refresh token; a code that nobody has redeemed yet; and the
session of the browser.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.caller import Answer
from tests.faults.management_wire import Client, Site, at_both, site_of
from tests.faults.people_wire import REDIRECT, Person, new_person
from tests.instance import DevInstance, folder_for_data, names_resolved, running

PROMISED_SECONDS = 1.0
OTHER_PASSWORD = "Hinter-dem-Tor-steht-8-Buchen"
_numbers = itertools.count(1)


@pytest.fixture
def site(instance: DevInstance) -> Iterator[Site]:
    with site_of(instance) as opened, names_resolved():
        yield opened


def ok(answer: Answer) -> Answer:
    assert answer.status < 300, answer
    return answer


@pytest.fixture
def person(site: Site) -> Iterator[Person]:
    with new_person(site) as one:
        yield one


def disabled(person: Person) -> Answer:
    return person.site.graph()("PATCH", f"/v1.0/users/{person.id}", {"accountEnabled": False})


def deleted(person: Person) -> Answer:
    return person.site.graph()("DELETE", f"/v1.0/users/{person.id}")


def given_another_password(person: Person) -> Answer:
    profile = {"password": OTHER_PASSWORD, "forceChangePasswordNextSignIn": False}
    return person.site.graph()("PATCH", f"/v1.0/users/{person.id}", {"passwordProfile": profile})


def signed_out_everywhere(person: Person) -> Answer:
    return person.site.graph()("POST", f"/v1.0/users/{person.id}/revokeSignInSessions")


@pytest.mark.parametrize(
    "happens",
    [
        disabled,
        *[
            pytest.param(one, marks=pytest.mark.slow)
            for one in (deleted, given_another_password, signed_out_everywhere)
        ],
    ],
)
def test_whoever_leaves_is_refused_on_the_next_request_of_every_worker(
    happens: Callable[[Person], Answer], person: Person, site: Site
) -> None:
    first = ok(person.redeem(person.code())).body
    assert "code" in person.quiet(), "the browser has a session"
    second = ok(person.refresh(first["refresh_token"])).body
    unused = person.quiet()["code"]
    tokens = (first["access_token"], second["access_token"])
    both = [at_both(site, partial(site.vault, "dev", token=token)) for token in tokens]
    clients: list[Client] = [client for pair in both for client in pair]
    assert all(client("GET", "/keys").status == 200 for client in clients * 2)
    ok(happens(person))
    begun = time.monotonic()
    answers = [client("GET", "/keys") for client in clients]
    needed = time.monotonic() - begun
    assert [answer.status for answer in answers] == [401] * 4, answers
    assert needed < PROMISED_SECONDS
    assert "error" in person.quiet()
    for refused in (
        person.refresh(second["refresh_token"]),
        person.refresh(first["refresh_token"]),
        person.redeem(unused),
    ):
        assert refused.status == 400, refused
        assert refused.body["error"] in ("invalid_grant", "interaction_required"), refused


@pytest.mark.slow
def test_a_person_whose_application_is_disabled_is_refused_through_it(person: Person, site: Site) -> None:
    """The person's own rights go on through another application."""
    own = person.redeem(person.code()).body["access_token"]
    graph = site.graph()
    application = {
        "displayName": f"front-{next(_numbers)}",
        "isFallbackPublicClient": True,
        "publicClient": {"redirectUris": [REDIRECT]},
    }
    client_id = ok(graph("POST", "/v1.0/applications", application)).body["appId"]
    principal = ok(graph("POST", "/v1.0/servicePrincipals", {"appId": client_id})).body
    person.open(client_id)
    if person.browser.status == 200:
        person.browser.submit("continue")
    given = ok(person.redeem(person.browser.replied()["code"], client_id)).body
    through = at_both(site, lambda: site.vault("dev", token=given["access_token"]))
    alone = at_both(site, lambda: site.vault("dev", token=own))
    assert all(client("GET", "/keys").status == 200 for client in (*through, *alone))
    ok(graph("PATCH", f"/v1.0/servicePrincipals/{principal['id']}", {"accountEnabled": False}))
    assert [client("GET", "/keys").status for client in through] == [401, 401]
    assert [client("GET", "/keys").status for client in alone] == [200, 200]
    assert person.refresh(given["refresh_token"], client_id).status in (400, 401)


ISSUER, SUBJECT = "https://cluster.example", "system:serviceaccount:payments:signer"


@pytest.mark.slow
def test_a_federated_credential_that_is_removed_ends_the_tokens_that_it_proved(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    jwk = {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "k1"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk]}))
    (tmp_path / "issuer.toml").write_text(
        f'[[issuers]]\nissuer = "{ISSUER}"\njwks_file = "{tmp_path}/keys.json"\n'
        'tenant = "11111111-1111-1111-1111-111111111111"\n[issuers.audiences]\nvault = ["nobody"]\n'
    )
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"], "iat": now, "exp": now + 3600}
    assertion = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "k1"})
    options = ("--trust-issuer", str(tmp_path / "issuer.toml"))
    with (
        folder_for_data() as folder,
        running(folder / "data", workers=2, options=options) as instance,
        site_of(instance) as site,
    ):
        who = site.make_application("workload")
        site.assign(site.vault_id("dev"), "Key Vault Reader", who.object_id)
        path = f"/v1.0/applications(appId='{who.client_id}')/federatedIdentityCredentials"
        body = {"name": "cluster", "issuer": ISSUER, "subject": SUBJECT, "audiences": ["api://AzureADTokenExchange"]}
        credential = ok(site.graph()("POST", path, body)).body["id"]
        form = {
            "grant_type": "client_credentials",
            "client_id": who.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": f"{site.url('vault')}/.default",
        }
        token = ok(site.post_form(f"/{site.tenant}/oauth2/v2.0/token", form)).body["access_token"]
        both = at_both(site, lambda: site.vault("dev", token=token))
        assert [client("GET", "/keys").status for client in both] == [200, 200]
        ok(site.graph()("DELETE", f"{path}/{credential}"))
        assert [client("GET", "/keys").status for client in both] == [401, 401]
        assert site.post_form(f"/{site.tenant}/oauth2/v2.0/token", form).status in (400, 401)

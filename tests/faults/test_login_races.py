"""What the issuer gives once is given once, whichever worker is asked and however often at the same moment."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.faults.management_wire import Site, site_of
from tests.faults.people_wire import AZURE_CLI, Person, new_person
from tests.faults.vault_wire import at_once, at_once_in_order
from tests.instance import DevInstance, names_resolved

TIMES = 6


@pytest.fixture
def site(instance: DevInstance) -> Iterator[Site]:
    with site_of(instance) as opened, names_resolved():
        yield opened


@pytest.fixture
def person(site: Site) -> Iterator[Person]:
    with new_person(site) as one:
        yield one


def test_a_code_that_is_redeemed_at_once_by_many_gives_one_token_and_ends_what_it_gave(person: Person) -> None:
    """One of those who redeem it is not its owner, so that nobody goes on with it (RFC 6749, 4.1.2)."""
    codes = [person.code(), *(person.quiet()["code"] for _ in range(2))]
    for code in codes:
        answers = at_once([partial(person.redeem, code)] * TIMES)
        assert sorted(answer.status for answer in answers) == [200] + [400] * (TIMES - 1)
        refusals = {answer.body["error_codes"][0] for answer in answers if answer.status == 400}
        assert refusals <= {54005, 70000, 9002313}, refusals
        (given,) = [answer.body for answer in answers if answer.status == 200]
        assert person.site.vault("dev", token=given["access_token"])("GET", "/keys").status == 200
        assert person.refresh(given["refresh_token"]).status == 400


@pytest.mark.slow
def test_a_refresh_token_that_many_use_at_once_is_replaced_and_none_of_them_is_lost(person: Person) -> None:
    """Programs share a cache of tokens: within the grace each gets one that goes on."""
    first = person.redeem(person.code()).body["refresh_token"]
    answers = at_once([partial(person.refresh, first)] * TIMES)
    assert [answer.status for answer in answers] == [200] * TIMES, answers
    later = {answer.body["refresh_token"] for answer in answers}
    assert len(later) == TIMES and first not in later
    assert all(person.refresh(token).status == 200 for token in later)


@pytest.mark.slow
def test_a_device_code_that_is_polled_by_many_gives_one_token(person: Person, site: Site) -> None:
    for _ in range(3):
        asked = site.post_form(
            f"/{site.tenant}/oauth2/v2.0/devicecode",
            {"client_id": AZURE_CLI, "scope": f"{site.url('vault')}/.default offline_access"},
        ).body
        person.browser.approve(asked["verification_uri"], asked["user_code"])
        poll = partial(person.token, "urn:ietf:params:oauth:grant-type:device_code", device_code=asked["device_code"])
        answers = at_once([poll] * TIMES)
        assert sorted(answer.status for answer in answers) == [200] + [400] * (TIMES - 1), answers
        (given,) = [answer.body for answer in answers if answer.status == 200]
        assert person.refresh(given["refresh_token"]).status == 400


@pytest.mark.slow
def test_of_a_sign_out_and_a_refresh_at_once_nothing_is_left_over(site: Site) -> None:
    """Whichever is first: what the refresh has given has ended too."""
    graph = site.graph()
    for _ in range(4):
        with new_person(site) as person:
            refresh_token = person.redeem(person.code()).body["refresh_token"]
            refreshed, ended = at_once_in_order(
                partial(person.refresh, refresh_token),
                partial(graph, "POST", f"/v1.0/users/{person.id}/revokeSignInSessions"),
            )
            assert ended.status < 300, ended
            if refreshed.status == 200:
                assert site.vault("dev", token=refreshed.body["access_token"])("GET", "/keys").status == 401
                assert person.refresh(refreshed.body["refresh_token"]).status == 400
            assert person.refresh(refresh_token).status == 400

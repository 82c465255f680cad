"""$filter: what it reads, what it matches, and what it refuses."""

import pytest

from hsmvault.errors import BadRequest
from hsmvault.wire.graph.filters import matches, parse, wanted

ADA = {
    "id": "1",
    "displayName": "Ada O'Hara",
    "accountEnabled": True,
    "mail": None,
    "names": ["app-1", "api://One"],
    "web": {"homePageUrl": "https://a.example"},
    "parts": [{"kind": "x", "size": 3}],
}


@pytest.mark.parametrize(
    "text",
    [
        "id eq '1'",
        "displayName eq 'ada o''hara'",
        "startswith(displayName,'ADA')",
        "endswith(displayName, 'Hara')",
        "contains(displayName,'o''h')",
        "names/any(c:c eq 'APP-1')",
        "names/any(c: startswith(c, 'api://'))",
        "accountEnabled eq true",
        "accountEnabled ne false",
        "mail eq null",
        "id in ('2', '1')",
        "not (id eq '2')",
        "not id eq '2' and accountEnabled eq true",
        "id eq '2' or (id eq '1' and displayName ne 'x')",
        "id eq '1' or id eq '2' and id eq '3'",
        "web/homePageUrl eq 'https://a.example'",
        "parts/any(p: p/kind eq 'x' and p/size eq 3)",
    ],
)
def test_it_matches(text: str) -> None:
    assert matches(parse(text), ADA)


@pytest.mark.parametrize(
    "text",
    [
        "id eq '2'",
        "accountEnabled eq 1",
        "accountEnabled eq false",
        "names/any(c:c eq 'app')",
        "mail eq ''",
        "startswith(mail,'')",
        "parts/any(p: p/kind eq 'x' and p/size eq 4)",
        "names/any(c:c eq 'app-1') and id eq '2'",
    ],
)
def test_it_does_not_match(text: str) -> None:
    assert not matches(parse(text), ADA)


@pytest.mark.parametrize(
    "text",
    [
        "id eq",
        "id eq '1",
        "id = '1'",
        "eq '1'",
        "id gt '1'",
        "(id eq '1'",
        "id eq '1')",
        "id eq '1' and",
        "names/any(c:d eq '1')",
        "names/any(c:c/any(d:d eq '1'))",
        "startswith('a',displayName)",
        "length(displayName) eq 3",
        "id eq '1' id eq '2'",
        "nothing eq '1'",
        "web/nothing eq '1'",
        "(" * 40 + "id eq '1'" + ")" * 40,
        " or ".join(["id eq '1'"] * 101),
        "id eq '" + "x" * 5000 + "'",
        "",
    ],
)
def test_it_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid filter clause"):
        matches(parse(text), ADA)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("appId eq 'x'", "x"),
        ("displayName eq 'y' and appId eq 'x'", "x"),
        ("appId/any(c:c eq 'x')", "x"),
        ("appId eq 'x' or id eq '1'", None),
        ("not (appId eq 'x')", None),
        ("appId ne 'x'", None),
        ("startswith(appId,'x')", None),
    ],
)
def test_it_knows_what_every_match_must_have(text: str, value: str | None) -> None:
    assert wanted(parse(text), "appId") == value

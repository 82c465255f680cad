"""Conditions of Azure ABAC: what they come to, also with what is not known, and what cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.model.builtin_roles import BUILT_IN, BY_NAME
from hsmvault.model.condition_parsing import LONGEST, UnreadableCondition, holds, parse
from hsmvault.model.conditions import OPERATORS, And, Asked, Expression, Not, Or

GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
LIST = "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
NAME = "Microsoft.KeyVault/vaults/secrets:name"
VAULT = "Microsoft.KeyVault/vaults:name"


def secret(name: str, action: str = GET, vault: str = "north") -> Asked:
    return Asked(action, resource={NAME: name, VAULT: vault})


def is_named(operator_and_value: str, name: str) -> bool | None:
    return holds(f"@Resource[{NAME}] {operator_and_value}", secret(name))


@pytest.mark.parametrize(
    ("comparison", "fulfil", "do_not"),
    [
        ("StringEquals 'app'", ["app", "APP"], ["app2", "ap", ""]),
        ("StringEqualsIgnoreCase 'App'", ["app", "APP"], ["app2"]),
        ("StringNotEquals 'app'", ["app2", "x"], ["app", "App"]),
        ("StringNotEqualsIgnoreCase 'app'", ["app2"], ["APP"]),
        ("StringStartsWith 'app-'", ["app-1", "APP-"], ["app", "my-app-1"]),
        ("StringStartsWithIgnoreCase 'APP'", ["app-1"], ["ap"]),
        ("StringNotStartsWith 'app'", ["ap", "my-app"], ["app", "APPLE"]),
        ("StringNotStartsWithIgnoreCase 'APP'", ["ap"], ["apple"]),
        ("StringLike 'a*c?'", ["abcd", "acd", "aXXc9"], ["abc", "bacd", "abcdd"]),
        ("StringLike '*'", ["", "abc"], []),
        ("StringLike '*b*'", ["abc", "b"], ["ac"]),
        ("StringLikeIgnoreCase 'A*'", ["abc"], ["ba"]),
        ("StringNotLike 'a*'", ["ba"], ["ab", "AB"]),
        ("StringNotLikeIgnoreCase 'A*'", ["ba"], ["ab"]),
        (r"StringLike 'a\*'", ["a*"], ["ab"]),
        ("ForAnyOfAnyValues:StringEquals {'a', 'b'}", ["a", "b"], ["c"]),
        ("ForAllOfAnyValues:StringEquals {'a', 'b'}", ["a", "b"], ["c"]),
        ("ForAnyOfAllValues:StringLike {'a*', '*b'}", ["ab", "axb"], ["a", "b"]),
        ("ForAllOfAllValues:StringNotEquals {'a', 'b'}", ["c"], ["a", "b"]),
        ("ForAnyOfAnyValues:StringNotEquals {'a', 'b'}", ["a", "c"], []),
        ("StringEquals 'it''s'", ["it's"], ["its"]),
        ('StringEquals "app"', ["app"], ["'app'"]),
    ],
)
def test_names_are_compared_as_the_operator_says_and_never_by_case(
    comparison: str, fulfil: list[str], do_not: list[str]
) -> None:
    assert [name for name in fulfil if is_named(comparison, name) is not True] == []
    assert [name for name in do_not if is_named(comparison, name) is not False] == []


def test_what_is_no_name_is_compared_with_regard_to_case() -> None:
    asked = Asked(GET, request={"Other:tag": "Blue"})
    assert holds("@Request[other:TAG] StringEquals 'Blue'", asked) is True
    assert holds("@Request[Other:tag] StringEquals 'blue'", asked) is False
    assert holds("@Request[Other:tag] StringEqualsIgnoreCase 'blue'", asked) is True
    assert holds("@Request[Other:tag] StringLike 'b*'", asked) is False


def test_guids_are_compared_with_and_without_quotes() -> None:
    guid = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
    asked = Asked("x", request={"a": guid.upper()})
    assert holds(f"@Request[a] GuidEquals {guid}", asked) is True
    assert holds(f"@Request[a] GuidEquals '{guid}'", asked) is True
    assert holds(f"@Request[a] GuidNotEquals {guid}", asked) is False
    assert (
        holds(f"@Request[a] ForAnyOfAnyValues:GuidEquals{{11111111-0000-0000-0000-000000000000,{guid}}}", asked) is True
    )


def test_an_attribute_may_be_compared_with_another() -> None:
    both = f"@Request[{NAME}] StringEquals @Resource[{NAME}]"
    assert holds(both, Asked("a", request={NAME: "x"}, resource={NAME: "X"})) is True
    assert holds(both, Asked("a", request={NAME: "x"}, resource={NAME: "y"})) is False
    assert holds(both, Asked("a", request={NAME: "x"})) is None


def test_actions_limit_what_a_condition_is_about() -> None:
    condition = f"""
    (
     (
      !(ActionMatches{{'{GET}'}})
     )
     OR
     (
      @Resource[{NAME}] StringEquals 'payroll'
     )
    )"""
    assert holds(condition, secret("payroll")) is True
    assert holds(condition, secret("other")) is False
    assert holds(condition, Asked(GET)) is None
    assert holds(condition, Asked(LIST)) is True
    assert holds("ActionMatches{'Microsoft.KeyVault/vaults/secrets/*'}", Asked(LIST)) is True
    assert holds("ActionMatches{'microsoft.keyvault/VAULTS/keys/*'}", Asked(LIST)) is False


def test_no_operation_has_a_suboperation() -> None:
    assert holds(f"!(ActionMatches{{'{GET}'}} AND SubOperationMatches{{'x'}})", Asked(GET)) is True


@pytest.mark.parametrize(
    "condition",
    [
        f"@Resource[{NAME}] StringEquals 'a'",
        f"@Resource[{NAME}] StringNotEquals 'a'",
        f"NOT @Resource[{NAME}] StringEquals 'a'",
        f"Exists @Resource[{NAME}]",
        f"NOT Exists @Resource[{NAME}]",
        "@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:Team] StringEquals 'a'",
        "NOT @Environment[isPrivateLink] StringEquals 'a'",
    ],
)
def test_what_is_not_known_decides_nothing(condition: str) -> None:
    assert holds(condition, Asked(GET)) is None


def test_and_or_and_not_go_on_with_what_is_known() -> None:
    unknown, true, false = "Exists @Request[x]", "ActionMatches{'*'}", "ActionMatches{'y'}"
    for text, expected in (
        (f"{true} AND {true}", True), (f"{true} && {unknown}", None), (f"{unknown} AND {false}", False),
        (f"{unknown} OR {true}", True), (f"{unknown} || {false}", None), (f"{false} or {false}", False),
        (f"NOT {unknown}", None), (f"!{true}", False), (f"not ({false})", True), (f"NOT NOT {true}", True),
        (f"{true} AND {true} AND {false}", False), (f"({true} AND {false}) OR {true}", True),
    ):  # fmt: skip
        assert holds(text, Asked("z")) is expected, text


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "a",
        "(",
        "()",
        ")",
        "ActionMatches",
        "ActionMatches{'a'",
        "ActionMatches{a}",
        "ActionMatches{'a'} ActionMatches{'b'}",
        "ActionMatches{'a'} AND",
        "AND ActionMatches{'a'}",
        "ActionMatches{'a'} AND ActionMatches{'b'} OR ActionMatches{'c'}",
        "@Resource[a]",
        "@Resource[a] = 'b'",
        "@Resource[a] StringEquals",
        "@Resource[a] StringEquals b",
        "@Resource[a] StringEquals {'a', 'b'}",
        "@Resource[a] StringEquals {}",
        "@Resource[a] ForAnyOfAnyValues:StringEquals {'a',}",
        "@Resource[a] ForSomeOfAnyValues:StringEquals {'a'}",
        "@Resource[a] StringContains 'a'",
        "@Resource[a] NumericEquals '1'",
        "@Resource[a] DateTimeLessThan '2026-01-01'",
        "@Resource[] StringEquals 'a'",
        "@Anything[a] StringEquals 'a'",
        "'a' StringEquals 'a'",
        "@Resource[a] StringEquals 'a",
        "@Resource[a] StringEquals 'a'; DROP",
        "Exists 'a'",
        "(" * 200 + "ActionMatches{'a'}" + ")" * 200,
        "!" * 200 + "ActionMatches{'a'}",
        "@Resource[a] ForAnyOfAnyValues:StringEquals {" + ",".join(["'a'"] * 300) + "}",
        "ActionMatches{'" + "a" * LONGEST + "'}",
    ],
)
def test_what_cannot_be_read_is_refused_and_gives_nothing(text: str) -> None:
    with pytest.raises(UnreadableCondition):
        parse(text)
    assert holds(text, secret("a")) is False


@given(st.text(alphabet="()!{}'@[]ab* ,:&|", max_size=60))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    try:
        parse(text)
    except UnreadableCondition as error:
        assert str(error)


def test_a_pattern_with_many_stars_takes_no_time() -> None:
    assert is_named("StringLike '" + "*a" * 400 + "*b'", "a" * 2000) is False


_leaf = st.sampled_from(
    [f"@Resource[{NAME}] {operator} '{value}'" for operator in OPERATORS for value in ("a", "b*", "")]
    + [f"ActionMatches{{'{one}'}}" for one in (GET, LIST, "*")]
    + [f"@Request[{NAME}] StringEquals 'a'", f"Exists @Resource[{NAME}]"]
).map(parse)
_expression: st.SearchStrategy[Expression] = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: And(tuple(some))),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: Or(tuple(some))),
    ),
    max_leaves=6,
)


@given(expression=_expression, name=st.sampled_from(["a", "b", "bc", "A"]), action=st.sampled_from([GET, LIST]))
def test_what_holds_for_the_whole_vault_holds_for_every_secret(expression: Expression, name: str, action: str) -> None:
    for request in ({}, {NAME: name}):
        for whole in (Asked(action), Asked(action, request=request)):
            decided = expression.holds(whole)
            if decided is not None:
                assert expression.holds(Asked(action, request={NAME: name}, resource={NAME: name})) in (decided, None)
                assert expression.holds(Asked(action, request=request, resource={NAME: name})) is decided


def test_the_conditions_of_built_in_roles_can_be_read() -> None:
    for role in BUILT_IN:
        for block in role.permissions:
            if block.condition:
                parse(block.condition)


def test_the_data_access_administrator_gives_and_takes_eight_roles() -> None:
    (block,) = BY_NAME["Key Vault Data Access Administrator"].permissions
    attribute = "Microsoft.Authorization/roleAssignments:RoleDefinitionId"

    def may(verb: str, source: str) -> set[str]:
        action = f"Microsoft.Authorization/roleAssignments/{verb}"
        known = {role.name: {attribute: role.id} for role in BUILT_IN}
        return {name for name, given in known.items() if holds(block.condition, Asked(action, **{source: given}))}

    expected = {
        "Administrator", "Certificates Officer", "Crypto Officer", "Crypto Service Encryption User", "Crypto User",
        "Reader", "Secrets Officer", "Secrets User",
    }  # fmt: skip
    assert may("write", "request") == may("delete", "resource") == {f"Key Vault {name}" for name in expected}
    assert may("write", "resource") == may("delete", "request") == set()
    assert holds(block.condition, Asked("Microsoft.KeyVault/vaults/read")) is True

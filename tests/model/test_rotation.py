"""Durations and the sums of them with times; what a rotation policy may say, and what it makes due."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hsmvault.errors import BadRequest
from hsmvault.model.durations import SECONDS_PER_DAY, Duration, after, before, fewest_days
from hsmvault.model.rotation import (
    POOL_RULES,
    VAULT_RULES,
    ActionType,
    LifetimeAction,
    PolicyRules,
    RotationPolicy,
    StatedAction,
    check_policy,
    default_policy,
    expiry_of_new,
    is_empty,
    near_expiry,
    parse_policy,
    rotation_due,
)

DURATIONS = st.builds(Duration, *[st.integers(0, 9999)] * 3).filter(
    lambda one: bool(one.years or one.months or one.days)
)
DAY = SECONDS_PER_DAY


def at(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, 6, 30, tzinfo=UTC).timestamp())


@given(DURATIONS)
def test_a_duration_is_written_as_it_is_read(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize("text", ["P18M", "P2Y", "P90D", "P1Y6M", "P1Y2M3D", "P1Y1D", "P9999D"])
def test_the_spelling_of_a_duration_stays(text: str) -> None:
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT1H",
        "P1W",
        "P1DT1H",
        "P0D",
        "P0Y0M0D",
        "-P1D",
        "P-1D",
        "+P1D",
        "P1.5D",
        "P1,5D",
        "p1d",
        "P1d",
        "1D",
        "P1D ",
        " P1D",
        "P1D\n",
        "P 1D",
        "P1M1Y",
        "P1D1M",
        "P1Y1Y",
        "P99999D",
        "P١D",
        "P1D\0",
        "P1H",
        "P1S",
        "ninety",
    ],
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Duration.parse(text)
    assert caught.value.code == "BadParameter"


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        (at(2024, 1, 31), "P1M", at(2024, 2, 29)),
        (at(2023, 1, 31), "P1M", at(2023, 2, 28)),
        (at(2024, 2, 29), "P1Y", at(2025, 2, 28)),
        (at(2024, 2, 29), "P4Y", at(2028, 2, 29)),
        (at(2096, 2, 29), "P4Y", at(2100, 2, 28)),
        (at(2024, 12, 31), "P18M", at(2026, 6, 30)),
        (at(2025, 3, 30), "P90D", at(2025, 6, 28)),
        (at(2024, 1, 31), "P1M1D", at(2024, 3, 1)),
    ],
)
def test_months_and_years_go_by_the_calendar(start: int, text: str, end: int) -> None:
    assert after(start, Duration.parse(text)) == end


def test_going_back_clamps_to_the_end_of_a_month_too() -> None:
    assert before(at(2024, 3, 31), Duration(months=1)) == at(2024, 2, 29)
    assert before(at(2025, 1, 1), Duration(years=1, months=6, days=1)) == at(2023, 6, 30)


@given(st.integers(1, 3000), st.integers(1, 12), st.integers(1, 28), st.integers(0, 600), st.integers(0, 5000))
def test_sums_agree_with_the_calendar_of_the_library(year: int, month: int, day: int, months: int, days: int) -> None:
    assume(months or days)
    start = datetime(year, month, day, 23, 59, 59, tzinfo=UTC)
    number = start.year * 12 + start.month - 1 + months
    moved = start.replace(year=number // 12, month=number % 12 + 1)
    duration = Duration(0, months, days)
    assert after(int(start.timestamp()), duration) == int(moved.timestamp()) + days * DAY
    if not days:
        assert before(int(moved.timestamp()), duration) == int(start.timestamp())


@given(st.integers(-(2**62), 2**62), DURATIONS)
def test_every_time_has_a_sum_and_longer_is_later(moment: int, duration: Duration) -> None:
    assert before(moment, duration) < moment < after(moment, duration)
    assert after(moment, duration) % DAY == moment % DAY
    longer = Duration(duration.years, duration.months, duration.days + 1)
    assert after(moment, longer) == after(moment, duration) + DAY


SHORT = st.builds(Duration, st.integers(0, 5), st.integers(0, 40), st.integers(0, 400)).filter(
    lambda one: one != Duration()
)


@given(st.integers(0, at(2060, 1, 1)), SHORT, SHORT)
def test_no_moment_has_fewer_days_to_it_than_the_fewest(moment: int, duration: Duration, less: Duration) -> None:
    end = after(moment, duration)
    assert (end - moment) // DAY >= fewest_days(duration)
    assert (before(end, less) - moment) // DAY >= fewest_days(duration, less=less)


def rotate(after_create: str | None = None, before_expiry: str | None = None) -> StatedAction:
    return StatedAction("Rotate", after_create, before_expiry)


def notify(before_expiry: str = "P30D") -> StatedAction:
    return StatedAction("Notify", None, before_expiry)


def checked(*actions: StatedAction, expiry: str | None = None, rules: PolicyRules = VAULT_RULES) -> RotationPolicy:
    policy = parse_policy(actions, expiry)
    check_policy(policy, rules)
    return policy


def test_a_policy_is_read_as_it_is_stated() -> None:
    assert checked(rotate("P18M"), notify(), expiry="P2Y") == RotationPolicy(
        (
            LifetimeAction(ActionType.ROTATE, after_create=Duration(months=18)),
            LifetimeAction(ActionType.NOTIFY, before_expiry=Duration(days=30)),
        ),
        Duration(years=2),
        0,
        0,
    )


@pytest.mark.parametrize("word", ["rotate", "ROTATE", "Rotate"])
def test_the_type_of_an_action_is_read_in_any_case(word: str) -> None:
    assert parse_policy([StatedAction(word, "P90D")], None).actions[0].type is ActionType.ROTATE


def test_an_empty_policy_is_known_as_one() -> None:
    assert is_empty(parse_policy([], None))
    assert not is_empty(parse_policy([], "P90D"))
    assert not is_empty(parse_policy([notify()], None))


@pytest.mark.parametrize(
    ("actions", "expiry"),
    [
        ([rotate("P7D")], None),
        ([rotate("P7D")], "P28D"),
        ([rotate(before_expiry="P7D")], "P28D"),
        ([rotate(before_expiry="P60D")], "P90D"),
        ([notify("P1D")], None),
        ([notify("P60D"), rotate("P1M")], "P1M"),
        ([], "P1M"),
    ],
)
def test_a_vault_takes_what_keeps_the_minimums(actions: list[StatedAction], expiry: str | None) -> None:
    checked(*actions, expiry=expiry)


@pytest.mark.parametrize(
    ("actions", "expiry"),
    [
        ([rotate("P6D")], None),
        ([rotate("P90D")], "P27D"),
        ([rotate(before_expiry="P6D")], "P90D"),
        ([rotate(before_expiry="P30D")], None),
        ([rotate(before_expiry="P90D")], "P90D"),  # due as soon as it is made, for ever
        ([rotate(before_expiry="P84D")], "P90D"),
        ([rotate(before_expiry="P3M")], "P90D"),
        ([rotate("P90D"), rotate("P80D")], None),
        ([rotate("P90D"), rotate(before_expiry="P7D")], "P90D"),
        ([notify(), notify("P31D")], None),
        ([rotate("P90D", "P30D")], "P2Y"),
        ([rotate()], "P2Y"),
        ([StatedAction("Notify", "P30D")], "P2Y"),
        ([StatedAction(None, "P30D")], None),
        ([StatedAction("Renew", "P30D")], None),
        ([StatedAction("", "P30D")], None),
        ([rotate("P1W")], None),
        ([], "P1W"),
        ([], ""),
    ],
)
def test_a_vault_refuses_the_rest(actions: list[StatedAction], expiry: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        checked(*actions, expiry=expiry)
    assert caught.value.code == "BadParameter"


@pytest.mark.parametrize(
    ("actions", "expiry"), [([rotate("P28D")], None), ([rotate("P1M")], None), ([rotate(before_expiry="P62D")], "P90D")]
)
def test_a_pool_takes_rotations_of_28_days_and_more(actions: list[StatedAction], expiry: str | None) -> None:
    checked(*actions, expiry=expiry, rules=POOL_RULES)


@pytest.mark.parametrize(
    ("actions", "expiry"),
    [
        ([rotate("P27D")], None),
        ([rotate(before_expiry="P63D")], "P90D"),
        ([notify()], "P90D"),
        ([rotate("P28D"), notify()], "P90D"),
    ],
)
def test_a_pool_refuses_shorter_ones_and_notices(actions: list[StatedAction], expiry: str | None) -> None:
    with pytest.raises(BadRequest):
        checked(*actions, expiry=expiry, rules=POOL_RULES)


def test_the_default_is_a_notice_thirty_days_before_expiry_where_there_are_notices() -> None:
    notice = LifetimeAction(ActionType.NOTIFY, before_expiry=Duration(days=30))
    assert default_policy(VAULT_RULES, 5) == RotationPolicy((notice,), None, 5, 5)
    assert default_policy(POOL_RULES, 5) == RotationPolicy((), None, 5, 5)


def test_what_is_due_follows_from_the_policy_and_the_latest_version() -> None:
    created, expires = at(2024, 1, 31), at(2026, 1, 31)
    by_age = checked(rotate("P18M"), expiry="P2Y")
    by_expiry = checked(rotate(before_expiry="P1M"), notify("P2M"), expiry="P2Y")
    assert rotation_due(by_age, created, None) == at(2025, 7, 31)
    assert rotation_due(by_expiry, created, expires) == at(2025, 12, 31)
    assert rotation_due(by_expiry, created, None) is None
    assert rotation_due(None, created, expires) is None
    assert rotation_due(default_policy(VAULT_RULES, 0), created, expires) is None
    assert near_expiry(by_expiry, expires) == at(2025, 11, 30)
    assert near_expiry(by_age, expires) == near_expiry(None, expires) == expires - 30 * DAY
    assert near_expiry(by_age, None) is None
    assert expiry_of_new(by_age, at(2024, 2, 29)) == at(2026, 2, 28)
    assert expiry_of_new(None, created) is expiry_of_new(default_policy(VAULT_RULES, 0), created) is None


@given(st.integers(0, at(2060, 1, 1)), st.sampled_from([VAULT_RULES, POOL_RULES]), SHORT, SHORT, st.booleans())
def test_a_new_version_is_never_due_before_the_minimum_is_over(
    now: int, rules: PolicyRules, trigger: Duration, expiry: Duration, by_age: bool
) -> None:
    action = rotate(str(trigger), None) if by_age else rotate(None, str(trigger))
    try:
        policy = checked(action, expiry=str(expiry), rules=rules)
    except BadRequest:
        return
    due = rotation_due(policy, now, expiry_of_new(policy, now))
    assert due is not None
    assert due - now >= rules.shortest_days * DAY

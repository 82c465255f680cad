"""When the lifetime actions of a certificate are due."""

import pytest

from hsmvault.model import durations
from hsmvault.model.certificate_policies import Action, LifetimeAction
from hsmvault.model.durations import Duration

DAY = 86_400
BEGIN = 1_769_817_600  # 2026-01-31: the next month is the shortest


def days(number: int) -> LifetimeAction:
    return LifetimeAction(Action.AUTO_RENEW, days_before_expiry=number)


@pytest.mark.parametrize("months", [1, 2, 12, 120])
def test_the_most_days_that_a_policy_may_say_are_counted_in_full(months: int) -> None:
    end = durations.after(BEGIN, Duration(months=months))
    assert days(27 * months).due(BEGIN - 600, end) == end - 27 * months * DAY > BEGIN


def test_a_certificate_that_lives_shorter_than_its_policy_thinks_is_not_renewed_on_and_on() -> None:
    """An ACME server gives 90 days, or an authority of our own is about to end; the policy asks for a year."""
    for life in (90 * DAY, 6 * DAY, 3600):
        due = days(300).due(BEGIN, BEGIN + life)
        assert BEGIN + life // 40 < due < BEGIN + life // 20
    assert LifetimeAction(Action.AUTO_RENEW, lifetime_percentage=1).due(BEGIN, BEGIN + 90 * DAY) > BEGIN

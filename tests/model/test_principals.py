"""What a principal's row says of its tokens."""

from dataclasses import replace

from hsmvault.model.principals import Principal, PrincipalKind


def test_a_second_end_within_a_second_ends_what_was_issued_between_the_two() -> None:
    now = 1_800_000_000
    user = Principal("1", "2", PrincipalKind.USER, "Ada", enabled=True)
    assert user.ended_at(now) > now, "tokens of this second end"
    ended = replace(user, sessions_valid_from=user.ended_at(now))
    issued = max(now, ended.sessions_valid_from)  # as login/access_tokens.py has it
    assert issued < ended.ended_at(now)

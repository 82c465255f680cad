"""What a person may choose as a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsmvault.login.password_rules import LONGEST_CHARACTERS, problem

NAMES = ("evelyn.berg@dev.example", "Evelyn Berg")


@pytest.mark.parametrize(
    "password", ["four green tortoises sing", "vier grüne Schildkröten", "Tr0ub4dor&3-and-more",
                 "x9" * 6 + "abc", "eve is short"]
)  # fmt: skip
def test_long_passwords_are_good_whatever_they_are_made_of(password: str) -> None:
    assert problem(password, names=NAMES) == ""


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("", "at least 12"),
        ("short", "at least 12"),
        ("x" * (LONGEST_CHARACTERS + 1), "at most"),
        ("four green\ttortoises", "typed"),
        ("aaaaaaaaaaaabbb", "different"),
        ("Password123!", "guesses"),
        ("1234567890123456", "guesses"),
        ("QWERTZuiop123", "guesses"),
        ("evelyn likes tea", "name"),
        ("iceBERGs are cold", "name"),
    ],
)
def test_what_is_easily_guessed_is_refused_with_a_sentence(password: str, word: str) -> None:
    assert word in problem(password, names=NAMES)


@given(password=st.text(max_size=300), name=st.text(max_size=40))
def test_every_text_gets_an_answer_that_does_not_repeat_it(password: str, name: str) -> None:
    answer = problem(password, names=(name, name))
    assert len(password) <= 4 or password not in answer

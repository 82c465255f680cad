"""What a password that a person chooses must be (NIST SP 800-63B, 3.1.1): long, not one of those that everybody tries
first, and not the person's own name. No rules about kinds of characters: they make passwords worse.
"""

from itertools import pairwise
from typing import Final

SHORTEST_CHARACTERS: Final = 12
LONGEST_CHARACTERS: Final = 256
_FEWEST_DIFFERENT: Final = 5
_SHORTEST_NAME_CHARACTERS: Final = 4
_COMMON: Final = (
    "password", "passw0rd", "passwort", "kennwort", "qwerty", "qwertz", "azerty", "letmein", "welcome", "administrator",
    "changeme", "iloveyou", "monkey", "dragon", "football", "baseball", "sunshine", "princess", "trustno1", "secret",
    "123456", "654321", "111111", "abcdef", "abc123", "1q2w3e", "asdfgh", "zxcvbn", "hsmvault", "keyvault",
)  # fmt: skip
_FEWEST_BESIDE_COMMON: Final = 8


def problem(password: str, *, names: tuple[str, ...]) -> str:
    """What is wrong with it, as a sentence for the person; empty when it is good. names: user name, display name."""
    if len(password) < SHORTEST_CHARACTERS:
        return f"The password must have at least {SHORTEST_CHARACTERS} characters."
    if len(password) > LONGEST_CHARACTERS:
        return f"The password must have at most {LONGEST_CHARACTERS} characters."
    if not password.isprintable():
        return "The password must have characters that can be typed and seen, and blanks between them."
    folded = password.casefold()
    if len(set(folded)) < _FEWEST_DIFFERENT:
        return f"The password must have at least {_FEWEST_DIFFERENT} different characters."
    if any(part in folded for part in _parts(names)):
        return "The password must not have your name in it."
    is_common = any(common in folded and len(folded) - len(common) < _FEWEST_BESIDE_COMMON for common in _COMMON)
    if is_common or _is_sequence(folded):
        return "The password is too much like one that is tried first by whoever guesses."
    return ""


def _is_sequence(text: str) -> bool:
    """Like 123456789012 or abcdefghijkl: most characters stand beside the one before."""
    steps = [abs(ord(after) - ord(before)) for before, after in pairwise(text)]
    return 2 * sum(step <= 1 for step in steps) > len(steps)


def _parts(names: tuple[str, ...]) -> set[str]:
    """Of user names what stands before the @; of display names each word."""
    words = {word for name in names for word in name.casefold().partition("@")[0].replace(".", " ").split()}
    return {word for word in words if len(word) >= _SHORTEST_NAME_CHARACTERS}

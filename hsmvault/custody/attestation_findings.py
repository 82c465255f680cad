"""What a verification of an attestation found: sentences for people, each with its outcome."""

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    HOLDS = "holds"
    OPEN = "open"  # nothing is wrong, and something could not be checked
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    outcome: Outcome
    sentence: str


@dataclass(slots=True)
class Findings:
    """In the order of the checks."""

    all: list[Finding] = field(default_factory=list)

    def check(self, holds: bool, yes: str, no: str) -> bool:
        self.all.append(Finding(Outcome.HOLDS, yes) if holds else Finding(Outcome.FAILS, no))
        return holds

    def leave_open(self, sentence: str) -> None:
        self.all.append(Finding(Outcome.OPEN, sentence))

    def say(self, sentence: str) -> None:
        self.all.append(Finding(Outcome.HOLDS, sentence))

    @property
    def outcome(self) -> Outcome:
        found = {one.outcome for one in self.all}
        return next(outcome for outcome in (Outcome.FAILS, Outcome.OPEN, Outcome.HOLDS) if outcome in found)

"""Durations of whole years, months and days, as ISO 8601 writes them, and their sums with points in time.

Years and months go by the calendar in UTC: a month after January 31 is the last day of February. Every sum has a
result, for years that no calendar library knows too: whoever stores a time may have chosen it freely.
"""

import re
from dataclasses import dataclass
from typing import Final

from hsmvault.errors import BadRequest

SECONDS_PER_DAY: Final = 86_400
_DURATION = re.compile(r"P(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,4})D)?", re.ASCII)
_CALENDAR_DAYS: Final = 146_097  # of 400 years, after which the calendar repeats


@dataclass(frozen=True, slots=True)
class Duration:
    """All three are 0 or more, and one of them is more than 0."""

    years: int = 0
    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """`P18M`, `P2Y`, `P90D`, `P1Y6M`: no weeks, no time of day, not zero. Raises BadRequest."""
        found = _DURATION.fullmatch(text)
        years, months, days = (0, 0, 0) if found is None else (int(part or 0) for part in found.groups())
        if not (years or months or days):
            raise BadRequest(
                "The rotation policy is invalid: a duration is written in whole years, months and days (ISO 8601), "
                "for instance P18M, P2Y or P90D."
            )
        return cls(years, months, days)

    def __str__(self) -> str:
        parts = ((self.years, "Y"), (self.months, "M"), (self.days, "D"))
        return "P" + "".join(f"{number}{letter}" for number, letter in parts if number)


def after(moment: int, duration: Duration) -> int:
    """The time so much later: first months and years, then days. Seconds since 1970 UTC."""
    return _moved(moment, duration.years * 12 + duration.months, duration.days)


def before(moment: int, duration: Duration) -> int:
    """The time so much earlier: first months and years, then days. Seconds since 1970 UTC."""
    return _moved(moment, -(duration.years * 12 + duration.months), -duration.days)


def fewest_days(duration: Duration, *, less: Duration | None = None) -> int:
    """Whole days between a moment and the duration after it (then `less` before that), for the moment where they are
    fewest: a month can have 28.
    """
    return min(
        _days_between(_clamped(year * 12 + month, day) * SECONDS_PER_DAY, duration, less)
        for year in (2001, 2002, 2003, 2004)  # any leap cycle
        for month in range(12)
        for day in (1, 31)
    )


def _days_between(moment: int, duration: Duration, less: Duration | None) -> int:
    end = after(moment, duration)
    return ((end if less is None else before(end, less)) - moment) // SECONDS_PER_DAY


def _moved(moment: int, months: int, days: int) -> int:
    date, seconds = divmod(moment, SECONDS_PER_DAY)
    if months:
        month, day = _civil(date)
        date = _clamped(month + months, day)
    return (date + days) * SECONDS_PER_DAY + seconds


def _clamped(month: int, day: int) -> int:
    """Days since 1970-01-01 of a day of a month; of its last day when it has none so late."""
    return _days(month) + min(day, _days(month + 1) - _days(month)) - 1


def _days(month: int) -> int:
    """Days since 1970-01-01 of the first day of a month. month: 12 for each year since the year 0, plus 0 to 11.

    The year begins in March here, so that the leap day is its last (Hinnant, "chrono-compatible low-level date
    algorithms").
    """
    year, number = divmod(month - 2, 12)  # 0: March
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * number + 2) // 5 - 719_468


def _civil(date: int) -> tuple[int, int]:
    """Month as in _days, and day from 1, of a number of days since 1970-01-01. The reverse of _days."""
    era, of_era = divmod(date + 719_468, _CALENDAR_DAYS)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    number = (5 * of_year + 2) // 153
    return (era * 400 + year) * 12 + number + 2, of_year - (153 * number + 2) // 5 + 1

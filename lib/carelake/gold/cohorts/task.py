"""Task: a question of prediction, declared: who is asked, on which days, what counts as the answer, and when it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carelake.gold.features.value_sets import Numeric, ValueSet

DOMAINS = ("condition", "drug", "procedure", "measurement", "observation", "device")
ACUTE_CARE, DEATH, ADMISSION, COST = "acute_care", "death", "unplanned_admission", "cost"
DERIVED = (ACUTE_CARE, DEATH, ADMISSION, COST)  # what gold makes of visits, deaths and costs
YEARLY, WEEKLY, DISCHARGE = "yearly", "weekly", "discharge"


@dataclass(frozen=True)
class Records:
    """Rows of one OMOP domain: of a set of concepts, or of a numeric result below `below` or at least `at_least` (canonical unit)."""

    domain: str
    concepts: ValueSet | None = None
    result: Numeric | None = None
    below: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Event:
    """What can happen to a person on a day: records of OMOP tables, of each person all or the `first`, or one of DERIVED by its name."""

    name: str
    words: str
    records: tuple[Records, ...] = ()
    first: bool = False


@dataclass(frozen=True)
class Task:
    """A question asked of persons on index dates.

    `index`: `yearly` = 1 January of the last ten years and the as-of date; `discharge` = the last day of each stay in hospital
    that the person survived; `weekly` = Mondays after a week with `target` records on `target_days` days, and the as-of date after such a week. All lie in
    the last ten years. Nothing on or after the index date is known to a feature.
    The time at risk begins `after_days` after the index date and ends before `months` and `days` after it; the answer is observed
    when it ends by the as-of date. `seen_months`: asked is who had a visit in so many months before; with 0, of a
    yearly task, who was under observation in the year before. `target`: asked is who had such a
    record in `target_months` before. `washout`: who ever had the outcome before is not asked, nor who had one of `excluded`. `top_share`: of an outcome
    that is an amount (cost), the share of each index date's persons that counts as the event, the highest first.
    """

    name: str
    words: str
    outcome: Event
    index: str = YEARLY
    months: int = 0
    days: int = 0
    after_days: int = 0
    seen_months: int = 36
    target: Event | None = None
    target_months: int = 1200
    target_days: int = 1
    washout: bool = False
    excluded: Event | None = None
    ages: tuple[int, int] = (0, 125)  # completed years, both included
    top_share: float | None = None
    source: str = "carelake's own declaration"

    def __post_init__(self) -> None:
        """Refuse a wrong declaration. Raises DeclarationError."""
        wrong = ""
        if self.index not in (YEARLY, WEEKLY, DISCHARGE):
            wrong = f"no index {self.index}; there are {YEARLY}, {WEEKLY}, {DISCHARGE}"
        elif (
            self.months < 0
            or self.days < 0
            or self.after_days < 0
            or not self.months * 28 + self.days > self.after_days
        ):
            wrong = "the time at risk has to end after it begins"
        elif self.index == WEEKLY and self.target is None:
            wrong = "weekly questions need a target"
        elif (self.top_share is not None) != (self.outcome.name == COST) or not 0 < (
            self.top_share or 0.5
        ) < 1:
            wrong = "top_share, between 0 and 1, belongs to an outcome that is an amount"
        elif self.washout and self.outcome.name == COST:
            wrong = "an amount knows no washout"
        elif self.ages[0] > self.ages[1]:
            wrong = "ages go from the lower to the higher"
        for event in self.events:
            if not event.records and event.name not in DERIVED:
                wrong = f"{event.name} has no records and is none of {', '.join(DERIVED)}"
            if event.records and event.name in DERIVED:
                wrong = f"{event.name} is what gold derives: give records another name"
            for r in event.records:
                if r.domain not in DOMAINS:
                    wrong = f"no domain {r.domain}; there are {', '.join(DOMAINS)}"
                elif (r.concepts is None) == (r.result is None):
                    wrong = f"{event.name} needs either concepts or a numeric result"
        if wrong:
            raise DeclarationError(f"task {self.name}: {wrong}")

    @property
    def events(self) -> tuple[Event, ...]:
        """All that the task looks for."""
        return tuple(e for e in (self.outcome, self.target, self.excluded) if e is not None)

    @property
    def begins(self) -> str:
        """SQL date: first day at risk."""
        return f"date_add(index_date, {self.after_days})"

    @property
    def ends(self) -> str:
        """SQL date: the day after the last day at risk."""
        return f"date_add(add_months(index_date, {self.months}), {self.days})"


def by_task(value: Mapping[str, str]) -> str:
    """SQL of a value by the column `task`, NULL for tasks that `value` does not name."""
    named = " ".join(f"WHEN '{name}' THEN {sql}" for name, sql in value.items())
    return f"CASE task {named} END" if named else "NULL"

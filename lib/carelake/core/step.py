"""Step: a pure function from tables to one table, whose wiring is checked when its module is imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carelake.core.table import Table
from carelake.errors import DeclarationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Transform = Callable[..., "DataFrame"]


@dataclass(frozen=True)
class Setting:
    """A value of the run that a transform may ask for; its value is part of the step's fingerprint."""

    name: str
    doc: str


AS_OF = Setting("as_of", "the day on which gold, models and scores ask their questions (datetime.date)")
EXTRACT_DATE = Setting("extract_date", "the latest extract date of any landed file (datetime.date)")
VOCABULARY = Setting(
    "vocabulary", "files of an OMOP vocabulary folder, or None for the bundled subset (Files | None)"
)
LOCAL_CONCEPTS = Setting("local_concepts", "files of a site's own concepts (Files)")
LOCAL_MAPS = Setting("local_maps", "files of a site's own maps from codes to concepts (Files)")
SENDERS = Setting(
    "senders", "name, priority, time zone and type concept of each sender (tuple of dicts, sorted by name)"
)
RELEASE = Setting("release", "the version of carelake (str)")
KINDS = Setting("kinds", "kinds of record that each sender has landed (dict: sender -> frozenset)")
# They move with what is landed, so no step's fingerprint holds them: inputs say that there is something new.
MOVING = (EXTRACT_DATE, KINDS)


@dataclass(frozen=True)
class Step:
    """What writes one table: `inputs` maps each parameter of `transform` to a Table or a Setting.

    A step whose table names a person is *by person*: the rows of some persons come from the rows of these persons in its
    inputs, whoever else is there; so they can be made anew without the others. One that compares persons with each other
    is `whole`. `dated` says which rows (SQL over a table, `:day`) look different once the extract date is later than that
    day: they belong to persons who are made anew although nothing of theirs came.
    """

    writes: Table
    inputs: Mapping[str, Table | Setting]
    transform: Transform
    doc: str
    whole: bool = False
    dated: Mapping[Table, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The table's name: a table has one writer."""
        return self.writes.name

    @property
    def reads(self) -> tuple[Table, ...]:
        """The tables that are read."""
        return tuple(i for i in self.inputs.values() if isinstance(i, Table))

    @property
    def by_person(self) -> bool:
        """Whether the rows of some persons can be made without the others."""
        return not self.whole and self.writes.person is not None

    def __call__(self, *args: Any, **kwargs: Any) -> DataFrame:
        """Run the bare transform, as the tests do."""
        return self.transform(*args, **kwargs)


def step(
    *, writes: Table, whole: bool = False, dated: Mapping[Table, str] | None = None, **inputs: Table | Setting
) -> Callable[[Transform], Step]:
    """Declare that the decorated function writes a table from the named inputs; `whole` and `dated` as in Step.

    Raises DeclarationError at import when the parameters are not exactly the inputs, or the docstring is missing.
    """

    def declare(function: Transform) -> Step:
        parameters = list(inspect.signature(function).parameters)
        if sorted(parameters) != sorted(inputs):
            raise DeclarationError(
                f"step {writes.name}: parameters {parameters} are not the declared {sorted(inputs)}"
            )
        if not (function.__doc__ or "").strip():
            raise DeclarationError(f"step {writes.name}: the transform has no docstring")
        if writes in inputs.values():
            raise DeclarationError(f"step {writes.name}: reads the table that it writes")
        if dated and not set(dated) <= {writes, *(i for i in inputs.values() if isinstance(i, Table))}:
            raise DeclarationError(
                f"step {writes.name}: dated names a table that it neither reads nor writes"
            )
        return Step(
            writes, dict(inputs), function, (function.__doc__ or "").strip(), whole, dict(dated or {})
        )

    return declare

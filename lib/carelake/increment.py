"""How a run does no more than what is new asks for: which steps rest, and which make only a part of their table anew.

A part is what stands in the new rows' stead: of the versions the groups of records in question, of a contract the rows
of the records to map anew, of a table of persons the rows of the persons concerned. The rest is taken over as it was
published, not as a run that died may have left it. A step makes its table whole when its code or settings are others
than published, or when of one of its inputs it is not known what moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from carelake.bronze.table import bronze_table
from carelake.core.failure import damaged
from carelake.core.run import StepResult, fingerprint, inputs_of
from carelake.core.runlog import as_published
from carelake.core.step import EXTRACT_DATE
from carelake.silver.affected import LINKS, Affected, affected
from carelake.silver.conformed.landed import Landed, OfContract, OfVersions
from carelake.silver.conformed.version import VERSION
from carelake.silver.link.tables import PERSON_LINK
from carelake.silver.omop.person import PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from carelake.core.lake import DeltaLake
    from carelake.core.part import Part
    from carelake.core.runlog import Published
    from carelake.core.step import Step
    from carelake.core.table import Table
    from carelake.silver.conformed.conform import Member


@dataclass
class Increment:
    """What a run knows of what is new. `landed` None: of no record it is known; `affected` None: everyone may be concerned."""

    lake: DeltaLake
    before: Mapping[str, Published]
    contracts: Mapping[str, Table] = field(
        default_factory=dict
    )  # what mappings write; known once all has landed
    landed: Landed | None = None
    affected: Affected | None = None
    parts: set[str] = field(default_factory=set)  # tables of which only a part was made
    whole: set[str] = field(default_factory=set)  # those made whole, although it is known what landed

    def begin(self, members: list[Member], contracts: Mapping[str, Table]) -> None:
        """See what landed since silver was published. Raises LakeError when bronze lacks what silver was made from."""
        self.contracts = contracts
        last = self.before.get(VERSION.name)
        if last is None:
            return
        since = {m.sender: last.inputs.get(bronze_table(m.sender).name, -1) for m in members}
        heads = {s: self.lake.head(bronze_table(s)) for s in since}
        for sender, version in since.items():
            if heads[sender] < version:
                raise damaged(
                    bronze_table(sender).name, f"silver was made from its version {version}, which is gone"
                )
        told = all(
            self.lake.actions(bronze_table(s), n)
            for s, v in since.items()
            for n in range(v + 1, heads[s] + 1)
        )
        # Delta removes old commits after a checkpoint: what is new is not known then, and all is made anew.
        if told and heads != since:
            self.landed = Landed(self.lake, as_published(self.lake, self.before), tuple(members), since)

    def find_persons(self) -> int | None:
        """See whom it concerns, once contracts and links were made; returns how many they are, None when not known.

        When they are most of all persons, the tables are made whole: that is sooner done.
        """
        if self.landed is None or any(t.name not in self.before for t in (*LINKS, PERSON)):
            return None
        made = [OfContract(self.landed, c) for n, c in sorted(self.contracts.items()) if n in self.parts]
        seen = [people for part in made for people in part.people()]
        seen.append(self.lake.read(PERSON_LINK).select("source", "source_person_id").where("false"))
        found = affected(self.lake, as_published(self.lake, self.before), seen, self.contracts.values())
        n = found.people.count()
        if n * 2 <= as_published(self.lake, self.before).read(PERSON).count():
            self.affected = found
        return n

    def examined(self) -> DataFrame | None:
        """The bronze records that this run looks at; None for all."""
        if self.landed is None or VERSION.name not in self.parts:
            return None
        return self.landed.examined([t for n, t in self.contracts.items() if n in self.whole])

    def rests(self, step: Step, values: Mapping[str, Any], also: tuple[str, ...]) -> StepResult | None:
        """The result of a step that need not run: nothing of what it reads has changed for it, nor its code."""
        last = self._same_code(step, values, also)
        if last is None or self.lake.head(step.writes) != last.version:
            return None
        inputs = inputs_of(step, self.lake, values)
        if inputs != last.inputs and not (
            step.name in self.contracts
            and self.landed is not None
            and self._known(step, last, inputs, self.landed)
            and not self.landed.touches(step.writes)
        ):
            return None
        return StepResult(step.name, last.version, 0, 0, 0.0, last.fingerprint or "", inputs, skipped=True)

    def part(self, step: Step, values: Mapping[str, Any], also: tuple[str, ...]) -> Part | None:
        """What of a step's table is to be made anew; None for all of it."""
        found = self._part(step, values, also)
        (self.whole if found is None else self.parts).add(step.name)
        return found

    def _part(self, step: Step, values: Mapping[str, Any], also: tuple[str, ...]) -> Part | None:
        last = self._same_code(step, values, also)
        if self.landed is None or last is None:
            return None
        inputs = inputs_of(step, self.lake, values)
        found: Part | None = None
        if step.writes is VERSION:
            found = OfVersions(self.landed)
        elif not self._known(step, last, inputs, self.landed):
            return None
        elif step.name in self.contracts:
            found = OfContract(self.landed, step.writes) if self.landed.divides(step.writes) else None
        elif step.by_person and self.affected is not None:
            moved = [t for t in step.reads if inputs[t.name] != last.inputs[t.name]]
            found = self.affected.part(step, moved, _other_day(last.inputs, inputs))
        return found

    def _same_code(self, step: Step, values: Mapping[str, Any], also: tuple[str, ...]) -> Published | None:
        last = self.before.get(step.name)
        return last if last and last.fingerprint == fingerprint(step, values, also) else None

    def _known(self, step: Step, last: Published, inputs: Mapping[str, int], landed: Landed) -> bool:
        """Whether of every input that is another than the one the table was made from it is known what moved."""
        if set(inputs) != set(last.inputs):
            return False
        for t in step.reads:
            was = last.inputs[t.name]
            if inputs[t.name] == was:
                continue
            if t.name.startswith("bronze/"):
                known = was == landed.since.get(t.name.removeprefix("bronze/"))
            else:
                followed = t.name in self.before and self.before[t.name].version == was
                known = followed and (t.name in self.parts or t in LINKS)
            if not known:
                return False
        return True


def _other_day(before: Mapping[str, int], inputs: Mapping[str, int]) -> date | None:
    """The extract date of before, when the step asks for it and it is another now."""
    was = before.get(EXTRACT_DATE.name)
    if was is None or was == inputs.get(EXTRACT_DATE.name):
        return None
    return date(was // 10_000, was // 100 % 100, was % 100)

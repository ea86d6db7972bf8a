"""A matrix like claims: sparse, present or absent, columns by a Zipf law, with a signal planted in some; the same bytes for every reader.

Rows are made in blocks, each by its own seed, so that a small matrix is the beginning of a larger one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK = 10_000  # rows
PLANTED, SIZE = 50, 1.0  # columns that tell of the outcome, and the spread of their log odds ratios
PREVALENCE = 0.10
MOST = 0.5  # nothing is in more than half of the rows
FOLDS = 5  # every fifth row is held out
_PILOT = 2**32 - 1  # the seed of the rows by which the intercept is set


@dataclass(frozen=True)
class Claims:
    """The law of a matrix: how many columns, how many of them a row has on average, and the seed."""

    columns: int
    per_row: float
    seed: int

    @cached_property
    def frequencies(self) -> Floats:
        """The share of rows that have each column, most frequent first: c / rank, at most MOST, `per_row` in all.

        Raises ValueError when so many columns cannot be that frequent.
        """
        if self.per_row >= MOST * self.columns:
            raise ValueError(f"{self.columns} columns give at most {MOST * self.columns:.0f} a row")
        rank = np.arange(1, self.columns + 1, dtype=np.float64)
        low, high = 0.0, MOST * self.columns
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if np.minimum(MOST, middle / rank).sum() < self.per_row else (low, middle)
            )
        return np.asarray(np.minimum(MOST, high / rank))

    @cached_property
    def slopes(self) -> Floats:
        """The log odds ratio of each column: PLANTED of them, 0 for the others."""
        random = np.random.default_rng([self.seed, _PILOT])
        out = np.zeros(self.columns)
        at = random.choice(self.columns, min(PLANTED, self.columns), replace=False)
        out[at] = random.normal(0, SIZE, len(at))
        return out

    @cached_property
    def intercept(self) -> float:
        """The log odds of a row without any column at which PREVALENCE of all rows have the outcome."""
        x = self._matrix(np.random.default_rng([self.seed, _PILOT, 1]), 2 * BLOCK)
        risk = x @ self.slopes
        low, high = -20.0, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _expit(middle + risk).mean() < PREVALENCE else (low, middle)
        return high

    def _matrix(self, random: np.random.Generator, rows: int) -> Any:
        """Each column in each row by a coin of its own: as many hits as a Poisson law gives, and hits on the same place are one."""
        rates = -np.log1p(-self.frequencies)
        hits = random.poisson(rows * rates)
        columns = np.repeat(np.arange(self.columns), hits)
        at = np.unique(random.integers(0, rows, len(columns)) * self.columns + columns)
        starts = np.searchsorted(at, np.arange(rows + 1) * self.columns)
        return csr_matrix((np.ones(len(at)), at % self.columns, starts), shape=(rows, self.columns))

    def block(self, number: int) -> tuple[Any, Floats]:
        """BLOCK rows (CSR) and their labels."""
        random = np.random.default_rng([self.seed, number])
        x = self._matrix(random, BLOCK)
        return x, (random.random(BLOCK) < _expit(self.intercept + x @ self.slopes)).astype(np.float64)

    def blocks(self, rows: int) -> Iterator[tuple[Any, Floats]]:
        """So many rows."""
        for number in range(-(-rows // BLOCK)):
            x, label = self.block(number)
            kept = min(BLOCK, rows - number * BLOCK)
            yield x[:kept], label[:kept]


def _expit(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))


_SCHEMA = pa.schema(
    [
        ("person_id", pa.int64()), ("held_out", pa.bool_()), ("label", pa.float64()), ("indices", pa.list_(pa.int32())),
    ]
)  # fmt: skip


def write(law: Claims, rows: int, file: Path) -> None:
    """Parquet: person_id, held_out, label, and `indices`, the columns that a row has (all values are 1)."""
    with pq.ParquetWriter(file, _SCHEMA) as out:
        done = 0
        for x, label in law.blocks(rows):
            person = np.arange(done, done + len(label))
            indices = pa.ListArray.from_arrays(
                pa.array(x.indptr, pa.int32()), pa.array(x.indices, pa.int32())
            )
            out.write_table(
                pa.table([person, person % FOLDS == FOLDS - 1, label, indices], schema=_SCHEMA), row_group_size=BLOCK
            )  # fmt: skip
            done += len(label)


def read(file: Path, columns: int) -> tuple[Any, Floats, NDArray[np.bool_]]:
    """The matrix (CSR), the labels, and which rows are held out."""
    table = pq.read_table(file, columns=["held_out", "label", "indices"]).combine_chunks()
    lists = table["indices"].chunk(0)
    indices = lists.values.to_numpy()
    x = csr_matrix(
        (np.ones(len(indices)), indices, lists.offsets.to_numpy()), shape=(table.num_rows, columns)
    )
    return x, table["label"].to_numpy(), table["held_out"].to_numpy()

"""Where the processor time of a JVM went, from a Flight Recorder's samples.

    python -m bench.samples RECORDING.jfr [--threads REGEX] [--top N]

Each sample is the stack of a thread that was at work. `--threads` keeps some (`Executor task`); time of the just-in-time
compiler and of the collection of garbage is in no sample.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.process import MeasureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEPTH = 128  # frames that are printed of a stack


class Sample(NamedTuple):
    """A thread's name and its stack, the innermost frame first, each `class.method`."""

    thread: str
    frames: tuple[str, ...]


def samples(lines: Iterable[str]) -> Iterator[Sample]:
    """The samples in what `jfr print --events jdk.ExecutionSample` prints."""
    thread, frames, inside = "", list[str](), False
    for line in lines:
        text = line.strip()
        if text.startswith("sampledThread ="):
            thread = text.split('"')[1] if '"' in text else ""
        elif text.startswith("stackTrace = ["):
            inside, frames = True, []
        elif inside and text.startswith("]"):
            inside = False
            yield Sample(thread, tuple(frames))
        elif inside and "(" in text:
            frames.append(text.split("(")[0])


def recorded(path: Path) -> list[Sample]:
    """The samples of a recording. Raises MeasureError when there is no `jfr`, which is in a JDK and not in a JRE."""
    tool = shutil.which("jfr")
    if tool is None:
        raise MeasureError("there is no jfr on the path: it comes with a JDK")
    command = [tool, "print", "--events", "jdk.ExecutionSample", "--stack-depth", str(DEPTH), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        return list(samples(process.stdout or ()))


def shares(found: list[Sample], top: int) -> list[str]:
    """Markdown: methods in which threads were (self), and which were on the stack (with what they call)."""
    own = Counter(s.frames[0] for s in found if s.frames)
    whole = Counter(f for s in found for f in set(s.frames))
    lines = [f"{len(found)} samples", "", "| in | share | below | share |", "|---|---|---|---|"]
    for (a, n), (b, m) in zip(own.most_common(top), whole.most_common(top), strict=False):
        lines.append(f"| {a} | {n / len(found):.1%} | {b} | {m / len(found):.1%} |")
    return lines


def main(argv: list[str]) -> int:
    """Print the shares."""
    p = argparse.ArgumentParser(prog="python -m bench.samples", description=__doc__)
    p.add_argument("recording", type=Path)
    p.add_argument("--threads", default="", metavar="REGEX")
    p.add_argument("--top", type=int, default=25, metavar="N")
    given = p.parse_args(argv)
    try:
        found = [s for s in recorded(given.recording) if re.search(given.threads, s.thread)]
    except MeasureError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    print("\n".join(shares(found, given.top)) if found else "no samples")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

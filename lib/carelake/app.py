"""The one command line: argv → configuration → session → stages → exit code."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import traceback
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from carelake.core import config as configuration
from carelake.core.config import Config, Sender, sender_from
from carelake.core.failure import in_words
from carelake.core.storage import is_local
from carelake.errors import CarelakeError, ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOBS = {
    "pipeline": "land, harmonise, derive, train, score and report, in one go",
    "to_bronze": "land what is new",
    "to_silver": "harmonise what was landed into OMOP CDM v5.4",
    "to_gold": "derive cohorts, measures and features",
    "train": "train the risk models",
    "score": "score people with the models",
    "models": "list the versions of the models, promote one, or roll back",
    "maintain": "compact small files, cluster large tables, remove versions that nobody needs",
    "quality": "check the lake, its files, or print its digest",
    "report": "write the report page",
    "generate": "make a synthetic population with Synthea",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def parser(job: str) -> argparse.ArgumentParser:
    """The options of one job."""
    p = _Parser(prog=f"spark-submit.sh {job}", description=JOBS[job], allow_abbrev=False)
    p.add_argument("--lake", default="./lake", metavar="DIR", help="root of the lakehouse (default ./lake)")
    p.add_argument("--env", default="local", metavar="NAME|FILE", help="configuration (default local)")
    p.add_argument("--json", metavar="FILE", help="write what the run did to this file, on failure too")
    if job in ("pipeline", "to_bronze"):
        p.add_argument(
            "--source",
            action="append",
            default=[],
            metavar="NAME[:FORMAT]=PATH",
            help="land this sender; repeatable",
        )
    if job in ("pipeline", "to_silver"):
        p.add_argument("--vocabulary", metavar="DIR", help="an OMOP vocabulary folder as Athena ships it")
        p.add_argument("--full", action="store_true", help="rebuild from bronze")
    if job == "pipeline":
        p.add_argument(
            "--until",
            metavar="STAGE",
            choices=("bronze", "silver", "gold", "train", "score"),
            help="stop after this stage",
        )
    if job in ("pipeline", "to_silver", "to_gold", "train", "score"):
        p.add_argument(
            "--as-of",
            type=_day,
            metavar="DATE",
            help="the day on which gold, models and scores ask their questions",
        )
        p.add_argument(
            "--plan", action="store_true", help="print what would run and the lineage; run nothing"
        )
    if job in ("pipeline", "train", "score", "models"):
        p.add_argument("--model", default="all", metavar="NAME|all", help="which models")
    if job == "train":
        p.add_argument(
            "--reproduce", metavar="RUN_ID", help="make this run again, register nothing, compare the metrics"
        )
    if job == "score":
        p.add_argument(
            "--person", type=int, metavar="PERSON_ID", help="print one person's scores; write nothing"
        )
    if job == "models":
        change = p.add_mutually_exclusive_group()
        change.add_argument(
            "--rollback", metavar="NAME", help="the version that was champion before is champion again"
        )
        change.add_argument(
            "--promote", metavar="NAME=VERSION", help="make a version champion that passed its gates"
        )
        p.add_argument("--reason", default="", metavar="TEXT", help="why, for the history; name no patient")
    if job == "quality":
        p.add_argument("--digest", action="store_true", help="print per table a hash of its rows")
        p.add_argument("--storage", action="store_true", help="verify files and log")
        p.add_argument(
            "--dqd",
            metavar="FILE",
            help="copy the results here, for the viewer of OHDSI's Data Quality Dashboard",
        )
    if job == "generate":
        p.add_argument("--out", required=True, metavar="DIR", help="where the population is written")
        p.add_argument(
            "--patients",
            type=int,
            default=100,
            metavar="N",
            help="living people with Medicare; about three others come with each (default 100)",
        )
        p.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the population")
        p.add_argument("--state", default="Massachusetts", help="US state")
        p.add_argument("--ages", metavar="FROM-TO", help="ages, such as 35-90")
    return p


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a date has the form YYYY-MM-DD") from None


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one job; returns its exit code. Never prints a value of a record."""
    os.umask(0o077)
    if not argv or argv[0] in ("-h", "--help"):
        print("jobs: " + ", ".join(f"{name} ({what})" for name, what in JOBS.items()))
        return 0 if argv else 2
    note: dict[str, Any] = {
        "run_id": None,
        "status": "failed",
        "steps": [],
        "sources": [],
        "models": [],
        "persons_affected": 0,
    }
    options: argparse.Namespace | None = None
    try:
        if argv[0] not in JOBS:
            raise UsageError(f"no job {argv[0]}; there are {', '.join(JOBS)}")
        options = parser(argv[0]).parse_args(argv[1:])
        code = _run(argv[0], options, note)
    except CarelakeError as e:
        _say(f"carelake: {e}")
        code = e.exit_code
    except (KeyboardInterrupt, _TerminatedError) as e:
        note["status"] = "killed"
        _say("carelake: stopped before the end; run the same command again to go on")
        code = 130 if isinstance(e, KeyboardInterrupt) else 143
    except SystemExit as e:  # --help
        return int(e.code or 0)
    except Exception as e:
        _say(f"carelake: a bug: {_kind(e)} in run {note['run_id']}; CARELAKE_DEBUG=1 shows where")
        if "CARELAKE_DEBUG" in environ:
            traceback.print_exc()  # may hold values: for developers on synthetic data
        code = 1
    if options is not None and options.json:
        note |= _used(note.pop("jvm", None))
        with contextlib.suppress(OSError):
            Path(options.json).write_text(json.dumps(note, indent=1, default=str), encoding="utf-8")
    return code


class _TerminatedError(BaseException):
    """SIGTERM."""


def _kind(error: Exception) -> str:
    """What went wrong without any message, which may hold a value: the class and, of Spark's errors, the condition."""
    condition = getattr(error, "getCondition", lambda: None)
    with contextlib.suppress(Exception):
        found = condition()
        if found:
            return f"{type(error).__name__} {found}"
    return f"{type(error).__name__}: {error}" if isinstance(error, AssertionError) else type(error).__name__


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _run(job: str, options: argparse.Namespace, note: dict[str, Any]) -> int:
    config = configuration.load(options.env)
    if job == "generate":
        from carelake.generate import generate

        generate(Path(options.out), options.patients, options.seed, options.state, options.ages)
        return 0
    given = tuple(_given(text, config) for text in getattr(options, "source", []))
    lake = options.lake if not is_local(options.lake) else str(Path(options.lake).absolute())
    until = getattr(options, "until", None)
    needs_models = job in ("train", "score", "models") or (
        job == "pipeline" and until not in ("bronze", "silver", "gold")
    )
    if needs_models and not is_local(lake) and "MLFLOW_TRACKING_URI" not in os.environ:
        raise ConfigError(
            "a lake that is not local needs MLFLOW_TRACKING_URI for train and score, or --until gold"
        )
    for s in given:
        if s.path and is_local(s.path) and "*" not in s.path and not Path(s.path).exists():
            from carelake.errors import InputError

            raise InputError(
                f"source {s.name}: the path {s.path} does not exist: give a file, folder or glob that does"
            )
    if job == "models" and not (options.rollback or options.promote):
        from carelake.jobs import list_models

        return list_models(options.model, config, lake, note)
    from carelake.jobs import perform

    if needs_models:
        from carelake.ml.tracking import import_early

        import_early()
    with _signals(), _session(job, lake) as session, in_words(lake):
        return perform(job, options, config, given, lake, session, note)


def _given(text: str, config: Config) -> Sender:
    """A sender from `NAME=PATH` or `NAME:FORMAT=PATH`."""
    name, equals, path = text.partition("=")
    name, _, format_name = name.partition(":")
    if not equals or not name or not path:
        raise UsageError(f"--source takes NAME=PATH or NAME:FORMAT=PATH, not {text}")
    full = path if not is_local(path) else str(Path(path).expanduser().absolute())
    known = config.sender(name)
    if known is None and not format_name:
        names = ", ".join(s.name for s in config.senders)
        raise ConfigError(f"source {name} is unknown: give NAME:FORMAT=PATH, or one of {names}")
    if known is None:
        return sender_from(name, {"format": format_name, "path": full})
    return replace(known, path=full, format=format_name or known.format)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does: status written, lease released."""

    def stop(signum: int, frame: object) -> None:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _session(job: str, lake: str) -> Iterator[Any]:
    from carelake.core.scratch import shared
    from carelake.core.session import start

    with ExitStack() as at_end:
        scratch = None
        if is_local(lake):
            root = Path(lake)
            scratch = root / ".tmp"
            try:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                at_end.enter_context(shared(scratch))
            except OSError:
                raise ConfigError(
                    f"the lake {lake} cannot be made there: give --lake a folder that can be written"
                ) from None
        session = start(job, str(scratch) if scratch else None)
        try:
            yield session
        finally:
            with contextlib.suppress(Exception):
                session.stop()


def _used(jvm: int | None) -> dict[str, float]:
    """Peak resident memory in bytes and processor seconds of the driver's Python and JVM, as the system counts them."""
    peak, seconds = 0, 0.0
    for pid in (os.getpid(), jvm):
        with contextlib.suppress(OSError, StopIteration, IndexError):
            text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            peak += int(next(x for x in text.splitlines() if x.startswith("VmHWM")).split()[1]) * 1024
            ticks = (
                Path(f"/proc/{pid}/stat")
                .read_text(encoding="ascii", errors="replace")
                .rsplit(")", 1)[1]
                .split()
            )
            seconds += (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return {"peak_rss": peak, "cpu_seconds": round(seconds, 1)}

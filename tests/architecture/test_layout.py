"""Where things lie: the lake mirrors the package, modules stay short, nothing names where it was built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from carelake.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 400
LEFT_BY_RUNS = (
    "lake",
    "lake-",
    ".venv",
    "dist",
    "build",
    ".git",
    ".ivy",
    "mlruns",
    "spark-warehouse",
    "metastore_db",
)
# Hosts of package registries and their files; in parts, so that this file does not name one.
REGISTRIES = re.compile(
    r"(?:"
    + "|".join(
        re.escape(f"{a}.{b}")
        for a, b in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("registry.npmjs", "org"),
            ("repo.maven.apache", "org"),
            ("repo1.maven", "org"),
            ("conda.anaconda", "org"),
            ("crates", "io"),
        )
    )
    + r"|\bartifactory\b|\bnexus\.)",
    re.IGNORECASE,
)
# OMOP's vocabulary tables lie beside the clinical ones: ADR 0007.
VOCABULARY_MODULE = "carelake.silver.vocabulary.cdm_tables"


def misplaced(writers: Mapping[str, str]) -> list[str]:
    """Tables of silver whose writer's module is not the table's path; of gold, those in a folder."""
    wrong = []
    for table, module in writers.items():
        mirrored = module == f"carelake.{table.replace('/', '.')}"
        vocabulary = module == VOCABULARY_MODULE and table.startswith("silver/omop/")
        if table.startswith("gold/"):
            flat = table.count("/") == 1
            inside = module.startswith(("carelake.gold.", "carelake.scores."))
            if not (flat and inside):
                wrong.append(table)
        elif not (mirrored or vocabulary):
            wrong.append(table)
    return sorted(wrong)


def too_long(lines: Mapping[str, int]) -> list[str]:
    """Modules of more than LIMIT lines."""
    return sorted(name for name, n in lines.items() if n > LIMIT)


def naming_a_registry(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Files in which the host of a package registry stands."""
    return sorted(name for name, text in texts if REGISTRIES.search(text))


def ours() -> list[Path]:
    """Files of the repository, without what runs and builds leave."""
    if shutil.which("git") and (ROOT / ".git").exists():
        said = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        return [ROOT / name for name in said.split("\0") if name and (ROOT / name).is_file()]
    found = [p for p in ROOT.rglob("*") if p.is_file()]
    return [p for p in found if not p.relative_to(ROOT).parts[0].startswith(LEFT_BY_RUNS)]


def test_the_lake_mirrors_the_package():
    assert misplaced({name: s.transform.__module__ for name, s in catalog().steps.items()}) == []


def test_a_table_written_from_elsewhere_is_caught():
    planted = {
        "silver/omop/person": "carelake.silver.omop.death",
        "silver/omop/death": "carelake.silver.omop.death",
        "silver/omop/concept": VOCABULARY_MODULE,
        "silver/link/visit": VOCABULARY_MODULE,
        "gold/measures/utilisation": "carelake.gold.measures.utilisation",
        "gold/utilisation": "carelake.gold.measures.utilisation",
    }
    assert misplaced(planted) == ["gold/measures/utilisation", "silver/link/visit", "silver/omop/person"]


def test_names_of_gold_are_unique_without_their_folders():
    modules = [p.stem for p in (ROOT / "lib" / "carelake" / "gold").rglob("*.py") if p.stem != "__init__"]
    tables = [n for n in catalog().declared if n.startswith("gold/")]
    assert len(tables) == len(set(tables)) > 0
    assert len(modules) == len(set(modules))


def test_no_module_is_over_400_lines():
    lib = ROOT / "lib"
    lines = {
        p.relative_to(lib).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
        for p in lib.rglob("*.py")
    }
    assert lines
    assert too_long(lines) == []


def test_a_module_of_401_lines_is_caught():
    assert too_long({"a.py": 400, "b.py": 401}) == ["b.py"]


def test_no_file_names_a_package_registry():
    texts = [
        (p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8", errors="replace")) for p in ours()
    ]
    assert naming_a_registry(texts) == []


def test_a_named_registry_is_caught():
    host = ".".join(("files", "pythonhosted", "org"))
    assert naming_a_registry([("a", f"--index-url https://{host}/simple"), ("b", "pyspark==4.2.0")]) == ["a"]


def test_lib_is_not_ignored():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    inside = "lib/carelake/planted/module.py"
    done = subprocess.run(["git", "check-ignore", "--quiet", inside], cwd=ROOT, check=False)
    assert done.returncode == 1, ".gitignore hides lib/"
    hidden = subprocess.run(["git", "check-ignore", "--quiet", "lake/ops/run"], cwd=ROOT, check=False)
    assert hidden.returncode == 0, "the lake must not be committed"

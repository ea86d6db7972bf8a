"""The import contracts hold on the package, and each of them can be broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CHECK = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def lint(root: Path) -> tuple[int, str]:
    """Exit code and output of import-linter on a tree with its own pyproject.toml and lib."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, "--no-cache", "--no-logo"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root / "lib")}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's modules and of pyproject.toml."""
    root = tmp_path_factory.mktemp("tree")
    skip = shutil.ignore_patterns("__pycache__", "*.csv", "*.gz", "*.tsv", "*.json")
    shutil.copytree(ROOT / "lib" / "carelake", root / "lib" / "carelake", ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def broken_by(tree: Path, module: str, line: str) -> str:
    """What import-linter says when the module begins with the line; the tree is left as it was."""
    path = tree / "lib" / "carelake" / module
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{line}\n{before}", encoding="utf-8")
    try:
        code, said = lint(tree)
    finally:
        path.write_text(before, encoding="utf-8")
    assert code != 0, said
    return said


def test_the_package_keeps_its_contracts(tree: Path):
    code, said = lint(tree)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/ids.py", "import carelake.silver.omop.person", "A layer imports from below only BROKEN"),
        ("gold/unmapped_code.py", "import delta", "Delta is known to core alone BROKEN"),
        ("gold/unmapped_code.py", "import mlflow", "MLflow is known to ml alone BROKEN"),
        ("sources/fitbit.py", "import carelake.sources.enrollment", "Sources do not know each other BROKEN"),
        ("sources/fitbit.py", "import carelake.sources.fhir_shapes", "Sources do not know each other BROKEN"),
        (
            "sources/fitbit.py",
            "import carelake.silver.link.tables",
            "Of silver, sources know the contracts alone BROKEN",
        ),
        (
            "silver/vocabulary/units.py",
            "import carelake.silver.link.tables",
            "vocabulary, the contracts BROKEN",
        ),
    ],
)
def test_a_planted_import_is_caught(tree: Path, module: str, line: str, contract: str):
    assert contract in " ".join(broken_by(tree, module, line).split())


def test_a_new_module_at_the_top_has_to_find_its_layer(tree: Path):
    planted = tree / "lib" / "carelake" / "planted.py"
    planted.write_text('"""A module that no layer names."""\n', encoding="utf-8")
    try:
        code, said = lint(tree)
    finally:
        planted.unlink()
    assert code != 0
    assert "planted" in said

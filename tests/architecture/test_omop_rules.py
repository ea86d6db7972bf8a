"""Each rule of the OMOP layer is held by a test that bears its number and says where the rule stands.

`@pytest.mark.omop_rule(n, ...)`; `pytest -m omop_rule` runs them all. The rules, in brief: 1 visits, 2 visit details,
3 observation periods, 4 events outside them, 5 concept 0, 6 source and standard codes, 7 domain routing, 8 person,
9 death, 10 ends and types of drugs, 11 measurements, 12 conditions, 13 eras, 14 plans and costs, 15 places and
providers, 16 notes, 17 what the CDM is, 18 keys, 19 relationships, specimens, devices and episodes, 20 wearables,
21 types of claims, 22 what two sources saw, 23 concept ids that code writes.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent
RULES = frozenset(range(1, 24))
SOURCES = re.compile(r"\b(CDM v5\.4|THEMIS|DQD|OHDSI|CMS|LOINC|HL7)\b")


class Held(NamedTuple):
    """A test and the rules that it says it holds."""

    name: str
    rules: tuple[int, ...]
    doc: str


def held(text: str) -> list[Held]:
    """The tests of a file that bear the mark."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.omop_rule":
                rules = tuple(ast.literal_eval(a) for a in mark.args)
                found.append(Held(node.name, rules, ast.get_docstring(node) or ""))
    return found


def by_rule(tests: list[Held]) -> dict[int, list[str]]:
    """The names of the tests of each rule."""
    found = defaultdict(list)
    for test in tests:
        for rule in test.rules:
            found[rule].append(test.name)
    return dict(found)


def without_source(tests: list[Held]) -> list[str]:
    """Tests that do not say where their rule stands."""
    return sorted(t.name for t in tests if not SOURCES.search(t.doc))


def all_tests() -> list[Held]:
    return [t for p in sorted(TESTS.rglob("test_*.py")) for t in held(p.read_text(encoding="utf-8"))]


def test_each_rule_is_held_by_a_test():
    assert set(by_rule(all_tests())) == RULES


def test_each_of_those_tests_says_where_its_rule_stands():
    assert without_source(all_tests()) == []


def test_a_rule_without_a_test_and_a_test_without_a_source_are_caught():
    planted = held(
        "@pytest.mark.omop_rule(3, 5)\n"
        "def test_a():\n"
        '    """CDM v5.4 OBSERVATION_PERIOD."""\n'
        "@pytest.mark.slow\n"
        "def test_b(): ...\n"
        "@pytest.mark.omop_rule(5)\n"
        "def test_c(): ...\n"
    )
    assert by_rule(planted) == {3: ["test_a"], 5: ["test_a", "test_c"]}
    assert without_source(planted) == ["test_c"]

"""Which records of a small cluster are one person: the rules of linkage in plain Python, without Spark."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RULES = ("same_sender", "shared_identifier", "name_birth_sex_zip", "enrollment")


@dataclass(frozen=True, order=True)
class Node:
    """A sender's record of a person, or a device account; ordered as persons are named: first comes first."""

    unknown: bool  # an account that no patient record describes; such come last
    priority: int
    source: str
    id: str


@dataclass(frozen=True)
class Facts:
    """What all versions of a record say: day of birth and sex, and the keys that it may share with others."""

    births: frozenset[str]
    sexes: frozenset[str]
    # (rule, key, certain); not certain: holds only among records of one person.
    keys: frozenset[tuple[str, str, bool]]


@dataclass(frozen=True)
class Link:
    """The person of a node, named by its first node; the rule and the record that tie the node to it."""

    node: Node
    person: Node
    rule: str
    other: Node | None


def resolve(facts: Mapping[Node, Facts]) -> list[Link]:
    """The links of a cluster, sorted by node; a person without any patient record is left out.

    Rule by rule: keys that fit two people of one sender are refused, the rest joins, and a joined set that holds two
    people of one sender, or shares no birth date or no sex, is taken apart again.
    """
    person = {n: n for n in facts}
    ties: dict[Node, set[tuple[Node, int]]] = defaultdict(set)
    for rank, rule in enumerate(RULES):
        sharing = _sharing(facts, person, rule)
        joined = _joined(person, sharing)
        sets: dict[Node, set[Node]] = defaultdict(set)
        for n, p in joined.items():
            sets[p].add(n)
        doubtful = {
            p for p, nodes in sets.items() if _doubtful(nodes, person, facts, within=rule == "same_sender")
        }
        for nodes in sharing:
            if joined[nodes[0]] not in doubtful:
                for n in nodes:
                    ties[n].update((other, rank) for other in nodes if other != n)
        person = {n: person[n] if joined[n] in doubtful else joined[n] for n in facts}
    real = {p for n, p in person.items() if not n.unknown}
    return [_link(n, person[n], ties[n]) for n in sorted(facts) if person[n] in real]


def _sharing(facts: Mapping[Node, Facts], person: Mapping[Node, Node], rule: str) -> list[list[Node]]:
    """Sorted nodes of each key of the rule that two or more share and that is not ambiguous."""
    holders: dict[tuple[str, bool], list[Node]] = defaultdict(list)
    for n in sorted(facts):
        for r, key, certain in facts[n].keys:
            if r == rule:
                holders[key, certain].append(n)
    kept = []
    for (_, certain), nodes in sorted(holders.items()):
        people = {(n.source, person[n]) for n in nodes if not n.unknown}
        twins = rule != "same_sender" and len(people) > len({source for source, _ in people})
        handed_on = not certain and len({p for _, p in people}) > 1
        if len(nodes) > 1 and not twins and not handed_on:
            kept.append(nodes)
    return kept


def _joined(person: Mapping[Node, Node], sharing: Iterable[list[Node]]) -> dict[Node, Node]:
    """Union of persons over the shared keys, each set named by its first node."""
    parent = {p: p for p in person.values()}

    def root(p: Node) -> Node:
        while parent[p] != p:
            p = parent[p]
        return p

    for nodes in sharing:
        roots = sorted({root(person[n]) for n in nodes})
        for r in roots[1:]:
            parent[r] = roots[0]
    return {n: root(p) for n, p in person.items()}


def _doubtful(
    nodes: set[Node], person: Mapping[Node, Node], facts: Mapping[Node, Facts], *, within: bool
) -> bool:
    """Whether these nodes hold two people of one sender, or share no birth date or no sex among those that know it."""
    people = {(n.source, person[n]) for n in nodes if not n.unknown}
    if not within and len(people) > len({source for source, _ in people}):
        return True
    for known in ([facts[n].births for n in nodes], [facts[n].sexes for n in nodes]):
        given = [k for k in known if k]
        if given and not frozenset.intersection(*given):
            return True
    return False


def _link(node: Node, person: Node, ties: Iterable[tuple[Node, int]]) -> Link:
    if node == person:
        return Link(node, person, "self", None)
    other, rank = min(ties)
    return Link(node, person, RULES[max(rank, 1)], other)

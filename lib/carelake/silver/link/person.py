"""silver/link/person: which person each sender's record is, by deterministic rules.

Rules, strongest first. Each is judged on every version and period of a record, so that who moves or marries stays linked.

1. `shared_identifier`: the same identifier of a strong system (names.STRONG_SYSTEMS). Birth date and sex must not
   contradict; within one sender they must both be known and agree, and so must the first given name (twins are filed
   under a parent's number), since two records of one sender are two people until proved otherwise.
2. `name_birth_sex_zip`: family name, first given name, birth date, sex and ZIP5, all present and equal. Never within a
   sender, and never a part of them: eight people of 93 share birth date, sex and ZIP with another.
3. `enrollment`: a device account and the patient that it is enrolled for. An account used by several patients one after
   the other says nothing of them.

Nothing is linked in doubt. A key that fits two people of one sender links nobody; a set that would join two people of
one sender, or that shares no common birth date or sex, is taken apart again for all its members.

Spark finds the candidates: blocks of records that share keys, by ROUNDS of window functions over a small table. What a
block means is decided by `cluster.resolve`, plain Python over Arrow batches: connected components that may be refused
have no Column function, and the same rules as windows took 53 shuffles. A block that has not settled after ROUNDS hops
is a tangle and links nobody.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import SENDERS, step
from carelake.silver.conformed.enrollment import ENROLLMENT
from carelake.silver.conformed.patient import PATIENT
from carelake.silver.link.cluster import Facts, Node, resolve
from carelake.silver.link.names import normal_identifier, normal_name, strong_system, zip5
from carelake.silver.link.tables import PERSON_LINK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

ROUNDS = 3
LAST = 2_000_000_000
_RESOLVED = (
    "source string, source_person_id string, first_source string, first_id string, rule string, linked_source string, "
    "linked_source_person_id string"
)


def priority(source: Column, senders: Iterable[Mapping[str, Any]]) -> Column:
    """The sender's priority; a lower number comes first, a sender that is not configured comes last."""
    ranks = [F.when(source == F.lit(str(s["name"])), F.lit(int(s["priority"]))) for s in senders]
    return F.coalesce(*ranks, F.lit(LAST))


@step(writes=PERSON_LINK, whole=True, patients=PATIENT, enrollments=ENROLLMENT, senders=SENDERS)
def person(patients: DataFrame, enrollments: DataFrame, senders: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Link the records of all senders: one row per (source, source_person_id) of a patient or an enrolled account.

    An account that belongs to no known patient is no person and is absent: its samples wait.
    """
    blocks = _blocks(_members(_nodes(patients, enrollments, tuple(senders))))
    return blocks.mapInArrow(_resolve, _RESOLVED).select(
        "*",
        F.expr(id_sql("person", "first_source", "first_id")).alias("person_id"),
        F.lit(1.0).alias("score"),
    )


def _nodes(patients: DataFrame, enrollments: DataFrame, senders: tuple[Mapping[str, Any], ...]) -> DataFrame:
    """One row per record: source, id, known (as a patient), priority, births, sexes, keys."""
    return (
        _patients(patients)
        .unionByName(_enrolled(enrollments))
        .groupBy("source", "id")
        .agg(
            F.max("known").alias("known"),
            F.max("is_account").alias("is_account"),
            F.array_sort(F.collect_set("birth")).alias("births"),
            F.array_sort(F.collect_set("sex")).alias("sexes"),
            F.array_distinct(F.flatten(F.collect_list("keys"))).alias("keys"),
        )
        .where("known OR is_account")
        .withColumn("priority", priority(F.col("source"), senders))
    )


def _key(rule: str, text: Column, certain: Column | None = None) -> Column:
    """A key of a record version: what it shares with others, and the facts that the rule needs beside it."""
    return F.struct(
        F.lit(rule).alias("rule"), text.alias("text"), F.col("birth"), F.col("sex"), F.col("given"),
        (F.lit(True) if certain is None else certain).alias("certain"),
    )  # fmt: skip


def _patients(patients: DataFrame) -> DataFrame:
    """One row per version of a patient record with its keys."""
    facts = patients.select(
        F.col("_source").alias("source"),
        F.col("source_person_id").alias("id"),
        F.col("is_latest").alias("known"),  # of a patient who was deleted only older versions are left
        F.lit(False).alias("is_account"),
        F.col("birth_date").cast("string").alias("birth"),
        F.when(F.col("sex").isin("male", "female"), F.col("sex")).alias("sex"),
        F.when(F.col("sex").isin("male", "female", "other"), F.col("sex")).alias("any_sex"),
        normal_name(F.col("family_name")).alias("family"),
        normal_name(F.col("given_name")).alias("given"),
        zip5(F.col("zip")).alias("zip5"),
        F.coalesce(F.col("identifiers"), F.array().cast("array<struct<system:string,value:string>>")).alias(
            "identifiers"
        ),
    )

    def identifier(i: Column) -> Column:
        system = strong_system(i["system"])
        return F.concat(system, F.lit("|"), normal_identifier(system, i["value"]))

    named = F.array(*[F.col(c) for c in ("family", "given", "birth", "any_sex", "zip5")])
    complete = ~F.exists(named, lambda part: part.isNull())
    strong = F.array_distinct(F.array_compact(F.transform(F.col("identifiers"), identifier)))
    return facts.withColumn(
        "keys",
        F.concat(
            F.array(_key("self", F.lit(""))),
            F.filter(F.array(_key("name_birth_sex_zip", F.array_join(named, "|"))), lambda _: complete),
            F.transform(strong, lambda text: _key("same_sender", text)),
            F.transform(strong, lambda text: _key("shared_identifier", text)),
        ),
    ).select("source", "id", "known", "is_account", "birth", "sex", "keys")


def _enrolled(enrollments: DataFrame) -> DataFrame:
    """One row for each side of an enrolment; `certain` unless the account went from one patient to another."""
    account = Window.partitionBy("account_source", "account_id")
    patient = F.struct("person_source", "source_person_id")
    apart = F.max(F.coalesce("start_date", F.lit("0001-01-01").cast("date"))).over(account) > F.min(
        F.coalesce("end_date", F.lit("9999-12-31").cast("date"))
    ).over(account)
    several = F.min(patient).over(account) != F.max(patient).over(account)
    nothing = F.lit(None).cast("string")
    sides = (
        enrollments.withColumn("certain", ~(several & apart))
        .withColumn("birth", nothing)
        .withColumn("sex", nothing)
        .withColumn("given", nothing)
        .withColumn("text", F.concat_ws("|", "account_source", "account_id"))
        .withColumn(
            "side",
            F.explode(
                F.array(
                    F.struct(
                        F.col("account_source").alias("source"),
                        F.col("account_id").alias("id"),
                        F.lit(True).alias("is_account"),
                    ),
                    F.struct(
                        F.col("person_source").alias("source"),
                        F.col("source_person_id").alias("id"),
                        F.lit(False).alias("is_account"),
                    ),
                )
            ),
        )
    )
    return sides.select(
        "side.source", "side.id", F.lit(False).alias("known"), "side.is_account", "birth", "sex",
        F.array(_key("enrollment", F.col("text"), F.col("certain"))).alias("keys"),
    )  # fmt: skip


def _members(nodes: DataFrame) -> DataFrame:
    """One row per record and key; every record has at least a key that nobody shares."""
    same_identifier = Window.partitionBy("rule", "text")

    def filled(fact: str) -> Column:
        """A fact that this record lacks, when all others with the identifier agree on it."""
        low, high = F.min(fact).over(same_identifier), F.max(fact).over(same_identifier)
        return F.coalesce(F.col(fact), F.when(low == high, low), F.lit(""))

    own = F.concat_ws("|", F.lit("self"), "source", "id")
    agreed = F.concat_ws("|", "rule", "source", "text", "birth", "sex", F.coalesce("given", F.lit("")))
    known = ("source", "id", "known", "priority", "births", "sexes")
    return (
        nodes.select(*known, own.alias("own"), F.explode("keys").alias("k"))
        .select(*known, "own", "k.*")
        .withColumn("text", F.when(F.col("rule") == "self", F.col("own")).otherwise(F.col("text")))
        .select(
            *known, "rule", "certain",
            F.when(F.col("rule") == "same_sender", F.when(F.col("birth").isNull() | F.col("sex").isNull(), F.col("own")).otherwise(agreed))
            .when(F.col("rule") == "shared_identifier", F.concat_ws("|", "rule", "text", filled("birth"), filled("sex")))
            .otherwise(F.concat_ws("|", "rule", "text"))
            .alias("key"),
        )
    )  # fmt: skip


def _blocks(members: DataFrame) -> DataFrame:
    """One row per block of records that share keys, directly or through others: unsettled, members."""
    key, record = Window.partitionBy("key"), Window.partitionBy("source", "id")
    members = members.withColumn("block", F.xxhash64("source", "id"))
    for _ in range(ROUNDS):
        members = members.withColumn("block", F.min("block").over(key)).withColumn(
            "block", F.min("block").over(record)
        )
    members = members.withColumn("unsettled", F.min("block").over(key) != F.max("block").over(key))
    return members.groupBy("block").agg(
        F.max("unsettled").alias("unsettled"),
        F.collect_list(
            F.struct("source", "id", "known", "priority", "births", "sexes", "rule", "key", "certain")
        ).alias("members"),
    )


def _resolve(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Blocks → links, batch by batch, on the executors."""
    import pyarrow as pa

    names = [part.split()[0] for part in _RESOLVED.split(", ")]
    schema = pa.schema([(name, pa.string()) for name in names])
    for batch in batches:
        links = []
        for block in batch.select(["unsettled", "members"]).to_pylist():
            for link in resolve(_facts(block["members"], unsettled=block["unsettled"])):
                other = link.other
                links.append((
                    link.node.source, link.node.id, link.person.source, link.person.id, link.rule,
                    other and other.source, other and other.id,
                ))  # fmt: skip
        yield pa.RecordBatch.from_pylist(
            [dict(zip(names, link, strict=True)) for link in links], schema=schema
        )


def _facts(members: list[dict[str, Any]], *, unsettled: bool) -> dict[Node, Facts]:
    """The nodes of a block with their facts; an unsettled one loses its keys."""
    keys: dict[Node, set[tuple[str, str, bool]]] = defaultdict(set)
    facts: dict[Node, Facts] = {}
    for m in members:
        node = Node(not m["known"], m["priority"], m["source"], m["id"])
        if not unsettled:
            keys[node].add((m["rule"], m["key"], m["certain"]))
        facts[node] = Facts(frozenset(m["births"]), frozenset(m["sexes"]), frozenset(keys[node]))
    return facts

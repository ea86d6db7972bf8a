"""silver/link/provider: from the ways in which a sender names a provider to one provider id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from carelake.core.ids import id_sql
from carelake.core.step import step
from carelake.silver.conformed.provider import PROVIDER
from carelake.silver.link.references import NPI_SYSTEM, same_thing
from carelake.silver.link.tables import PROVIDER_LINK

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@step(writes=PROVIDER_LINK, providers=PROVIDER)
def provider(providers: DataFrame) -> DataFrame:
    """Unite practitioner, roles and claims of one provider within a sender by ids, aliases and NPI.

    The NPI is one reference among others, not the key: a provider without one, or with two, is one provider all the
    same, and senders are never joined by it.
    """
    npi = F.when(
        F.col("npi").isNotNull(), F.array(F.col("npi"), F.concat(F.lit(f"{NPI_SYSTEM}|"), F.col("npi")))
    )
    nothing = F.array().cast("array<string>")
    aliases = F.concat(F.coalesce("aliases", nothing), F.coalesce(npi, nothing))
    return same_thing(providers, "source_provider_id", aliases).select(
        "source", "reference", F.expr(id_sql("provider", "source", "first")).alias("provider_id")
    )

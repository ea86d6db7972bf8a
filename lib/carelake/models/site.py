"""The models of a site's own tasks: carelake's estimators, gates and audit, with what the site says of use and population."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carelake.errors import ConfigError
from carelake.gold.cohorts.site_tasks import read
from carelake.models.standard import GROUPS, standard, with_covariates

if TYPE_CHECKING:
    from carelake.gold.cohorts.site_tasks import SiteTask
    from carelake.ml.model import RiskModel


def site_models(folder: str | None) -> dict[str, RiskModel]:
    """A model for each task of the folder, by name. Raises ConfigError."""
    return {s.task.name: _model(s) for s in read(folder)}


def _model(s: SiteTask) -> RiskModel:
    if s.recalibrate_by is not None and s.recalibrate_by not in GROUPS:
        raise ConfigError(
            f"task {s.task.name}: recalibrate_by names no group of the audit; there are {', '.join(GROUPS)}"
        )
    model = standard(
        s.task, intended_use=s.intended_use, population=s.population, limits=s.limits, recalibrate_by=s.recalibrate_by
    )  # fmt: skip
    return with_covariates(model) if s.covariates else model

"""Stages of a registered version: candidate, champion, archived.

The alias `champion` says which version is used. Tags of a version say its stage, since when and why; tags of the registered model, one
for each transition, keep the history. Functions take an MlflowClient.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from carelake.core.run import now
from carelake.errors import ConfigError, QualityGateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CANDIDATE, CHAMPION, ARCHIVED = "candidate", "champion", "archived"
STAGE = "stage"
DUE = "promotion"  # a version whose run has ended and that is still to become champion
HELD_BACK = "held_back"
CHAMPION_GAIN = (
    "champion_gain_lower"  # lower bound of AUROC minus the champion's, paired on the same test rows
)
MARGIN = 0.05  # of AUROC: by so much a new champion may be worse at most, with 97.5 % confidence
_TRANSITION = "carelake.transition."
_GONE = {
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
    "NOT_FOUND",
}  # what stores say of what is not there


@dataclass(frozen=True)
class Transition:
    """A version that entered a stage."""

    at: str
    version: str
    stage: str
    reason: str


def is_absent(error: Exception) -> bool:
    """Whether a store says that a model, version or alias is not there, and not that it cannot be asked."""
    return getattr(error, "error_code", None) in _GONE


def champion(client: Any, registered: str) -> str | None:
    """The version under the alias."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(registered, CHAMPION).version)
    except MlflowException as e:
        if is_absent(e):
            return None
        raise


def history(client: Any, registered: str) -> list[Transition]:
    """Every transition, in the order in which they happened; empty for an unknown model."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(registered).tags
    except MlflowException as e:
        if is_absent(e):
            return []
        raise
    return [Transition(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_TRANSITION)]


def champions(past: Sequence[Transition]) -> list[str]:
    """Versions that came before today's champion, and it as the last; who was left by a rollback is not among them."""
    line: list[str] = []
    for t in past:
        if t.stage != CHAMPION:
            continue
        if t.version in line:
            del line[line.index(t.version) + 1 :]
        else:
            line.append(t.version)
    return line


def worse_than_champion(metrics: Mapping[str, float]) -> str | None:
    """Why a version must not follow a champion; None when it may, or was not compared with one."""
    gain = metrics.get(CHAMPION_GAIN)
    if gain is None or gain >= -MARGIN:
        return None
    return f"{CHAMPION_GAIN} is {gain:.3f}, and has to be at least {-MARGIN:g}"


def admit(
    client: Any, registered: str, version: str, failed: Sequence[str], metrics: Mapping[str, float]
) -> None:
    """Tag a new version as a candidate, with the gates that it `failed`; `settle` promotes it once its run has ended, if it may."""
    tags = {
        "approved": str(not failed).lower(),
        "gates_failed": ", ".join(failed) or "none",
        STAGE: CANDIDATE,
    }
    worse = worse_than_champion(metrics)
    if worse and champion(client, registered):
        tags[HELD_BACK] = worse
    elif not failed:
        tags[DUE] = "every gate holds"
    for name, value in tags.items():
        client.set_model_version_tag(registered, version, name, value)


def promote(client: Any, registered: str, version: str, reason: str) -> None:
    """Make the version champion and archive who was. Once more after a death half way ends in the same state."""
    client.set_model_version_tag(registered, version, DUE, reason)
    before = champion(client, registered)
    if before not in (None, version) and before not in champions(history(client, registered)):
        _enter(client, registered, before, CHAMPION, "was champion before transitions were kept")
    client.set_registered_model_alias(registered, CHAMPION, version)
    for other in client.search_model_versions(f"name = '{registered}'"):
        if str(other.version) != version and other.tags.get(STAGE) == CHAMPION:
            _enter(
                client,
                registered,
                str(other.version),
                ARCHIVED,
                f"version {version} became champion: {reason}",
            )
    _enter(client, registered, version, CHAMPION, reason)
    client.delete_model_version_tag(registered, version, DUE)


def settle(client: Any, registered: str, version: Any) -> None:
    """End the promotion of a version that a process which died began."""
    if version.tags.get(DUE) and client.get_run(version.run_id).info.status == "FINISHED":
        promote(client, registered, str(version.version), version.tags[DUE])


def settle_all(client: Any, registered: str) -> None:
    """End every promotion that is still to be ended."""
    for version in client.search_model_versions(f"name = '{registered}'"):
        settle(client, registered, version)


def promote_by_hand(client: Any, registered: str, version: str, reason: str) -> None:
    """Make a version champion on demand. Raises ConfigError when there is none, QualityGateError when a gate of its failed."""
    tags = _version(client, registered, version).tags
    if tags.get("approved") != "true":
        raise QualityGateError(
            f"{registered} version {version} cannot become champion: it failed {tags.get('gates_failed') or 'its gates'}"
        )
    if champion(client, registered) != version:
        promote(client, registered, version, reason)


def roll_back(client: Any, registered: str, reason: str) -> tuple[str, str]:
    """Give the alias back to the version that was champion before. Returns versions then and now. Raises ConfigError without one."""
    line = champions(history(client, registered))
    today = champion(client, registered)
    if today is None:
        raise ConfigError(f"{registered} has no champion that could be rolled back")
    if len(line) < 2 or line[-1] != today:
        raise ConfigError(
            f"{registered}: no version was champion before version {today}: there is nothing to go back to"
        )
    _version(client, registered, line[-2])
    promote(client, registered, line[-2], f"rollback from version {today}: {reason}")
    return today, line[-2]


def _version(client: Any, registered: str, version: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(registered, version)
    except MlflowException as e:
        if is_absent(e):
            raise ConfigError(f"{registered} has no version {version}: see the job models") from None
        raise


def _enter(client: Any, registered: str, version: str, stage: str, reason: str) -> None:
    """Note a transition, in the history first; nothing when the version is in that stage."""
    if client.get_model_version(registered, version).tags.get(STAGE) == stage:
        return
    entry = Transition(now().isoformat(timespec="seconds"), version, stage, reason)
    number = len(history(client, registered)) + 1
    client.set_registered_model_tag(registered, f"{_TRANSITION}{number:06d}", json.dumps(asdict(entry)))
    for key, value in ((STAGE, stage), ("stage_since", entry.at), ("stage_reason", reason)):
        client.set_model_version_tag(registered, version, key, value)

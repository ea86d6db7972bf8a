"""Quality: the dashboard's checks, keys, ledger and money, drift between runs; digests of a lake."""

from carelake.quality.digest import digest
from carelake.quality.gate import Checked, check, report
from carelake.quality.results_file import PLACE

__all__ = ["PLACE", "Checked", "check", "digest", "report"]

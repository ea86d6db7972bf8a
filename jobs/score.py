"""Score everyone of a model's cohort into gold/risk_score."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["score", *sys.argv[1:]], os.environ))

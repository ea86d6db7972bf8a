"""Build what people ask for: cohorts, measures, features."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["to_gold", *sys.argv[1:]], os.environ))

"""The versions of the risk models: list them, promote one that passed its gates, roll back."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["models", *sys.argv[1:]], os.environ))

"""Train the risk models, hold them to their gates, register those that pass."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["train", *sys.argv[1:]], os.environ))

"""Make a synthetic population of any size with Synthea."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["generate", *sys.argv[1:]], os.environ))

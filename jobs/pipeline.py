"""All of it: land what is new, harmonise it, build gold, train, score and report."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["pipeline", *sys.argv[1:]], os.environ))

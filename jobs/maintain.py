"""Upkeep of the lake: small files, clustering, checkpoints, old versions."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["maintain", *sys.argv[1:]], os.environ))

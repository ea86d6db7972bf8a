"""Harmonise what was landed: contracts, links, the OMOP tables."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["to_silver", *sys.argv[1:]], os.environ))

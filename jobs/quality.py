"""Check the lake: the quality gate, the storage, the digests of its tables."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["quality", *sys.argv[1:]], os.environ))

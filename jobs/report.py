"""Write the report pages from gold and ops."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["report", *sys.argv[1:]], os.environ))

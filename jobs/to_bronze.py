"""Land the files of every sender as they were sent, into bronze."""

import os
import sys

from carelake.app import main

raise SystemExit(main(["to_bronze", *sys.argv[1:]], os.environ))

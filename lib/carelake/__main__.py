"""`python -m carelake JOB …`: the same command line in an environment of one's own."""

import os
import sys

from carelake.app import main

raise SystemExit(main(sys.argv[1:], os.environ))

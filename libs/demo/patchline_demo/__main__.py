"""Run with ``make demo``, or ``python -m patchline_demo``."""

import sys

from patchline_demo.run import main

sys.exit(main())

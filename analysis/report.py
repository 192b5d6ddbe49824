#!/usr/bin/env python3
"""python3 analysis/report.py results.h5 -o report/ : the report, from a checkout, nothing of ours
installed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kdsweep_analysis.cli import main  # noqa: E402

sys.exit(main(["report", *sys.argv[1:]]))

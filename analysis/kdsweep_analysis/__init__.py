"""Results of kdsweep as data frames, tables, figures and a report. See README.md beside this package."""

from .data import frame, load
from .schema import ResultsError
from .sweep import Sweep

__version__ = "0.1.0"
__all__ = ["ResultsError", "Sweep", "__version__", "frame", "load"]

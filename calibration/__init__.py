"""Calibration: representative samples, read one at a time, audited, and turned into ranges."""

from tfeff.calibration.activations import Activations
from tfeff.calibration.audit import audit
from tfeff.calibration.choice import Chosen, Search
from tfeff.calibration.collect import Calibration, Feed, collect, from_arrays
from tfeff.calibration.findings import grave, text_of
from tfeff.calibration.judging import Judge, held_out
from tfeff.calibration.methods import DEFAULT_METHOD, parse_method
from tfeff.calibration.observe import observe
from tfeff.calibration.ranges import Plan, parse_rules

__all__ = [
    "DEFAULT_METHOD", "Activations", "Calibration", "Chosen", "Feed", "Judge", "Plan", "Search", "audit", "collect",
    "from_arrays", "grave", "held_out", "observe", "parse_method", "parse_rules", "text_of",
]  # fmt: skip

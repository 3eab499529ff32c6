"""What a network costs: multiply-adds and parameters (`count`), and its memory access as the papers judge it
(`analyse`)."""

from tfeff.cost.analysis import BY, Analysis, Row, analyse
from tfeff.cost.conventions import CONVENTIONS, count_as, count_as_published, meets
from tfeff.cost.counting import Counts, count, madds
from tfeff.cost.memory import least_memory_access, madds_per_second, memory_access

__all__ = [
    "BY",
    "CONVENTIONS",
    "Analysis",
    "Counts",
    "Row",
    "analyse",
    "count",
    "count_as",
    "count_as_published",
    "least_memory_access",
    "madds",
    "madds_per_second",
    "meets",
    "memory_access",
]

"""Pages out of records: what int8 cost, where, and how fast it is. Never TensorFlow, Keras or a runtime."""

from tfeff.report.build import FORMATS, report
from tfeff.report.pictures import with_pictures
from tfeff.report.reported import Reported, read_reported

__all__ = ["FORMATS", "Reported", "read_reported", "report", "with_pictures"]

"""Pages out of records: what int8 cost, where, and how fast it is. Never TensorFlow, Keras or a runtime."""

from tfeff.report.build import FORMATS, report
from tfeff.report.subject import Subject, read_subjects

__all__ = ["FORMATS", "Subject", "read_subjects", "report"]

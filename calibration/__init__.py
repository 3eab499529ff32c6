"""Calibration: representative images, read one at a time and checked before anything is quantized with them."""

from tfeff.calibration.collect import Calibration, collect

__all__ = ["Calibration", "collect"]

"""Where an int8 file went wrong, layer by layer, run by LiteRT; TensorFlow is never imported here."""

from tfeff.data import Pixels
from tfeff.debug.locate import Options, debug
from tfeff.debug.result import DebugResult, LayerError

__all__ = ["DebugResult", "LayerError", "Options", "Pixels", "debug"]

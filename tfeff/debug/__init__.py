"""Where an int8 file went wrong, layer by layer, run by LiteRT; TensorFlow is never imported here."""

from tfeff.debug.locate import Options, debug
from tfeff.debug.result import DebugResult, LayerError
from tfeff.debug.samples import Pixels

__all__ = ["DebugResult", "LayerError", "Options", "Pixels", "debug"]

"""Where an int8 file went wrong, layer by layer, run by LiteRT; TensorFlow is never imported here."""

from tfeff.debug.locate import debug

__all__ = ["debug"]

"""Weight files: reading, writing, and the checkpoints that are bundled (`bundled/`)."""

from tfeff.weights.checkpoint import load_weights, save_weights

__all__ = ["load_weights", "save_weights"]

"""Weight files: ours, other projects' (`layouts/`), the public ones (`public.json`), the bundled (`bundled/`)."""

from tfeff.weights.checkpoint import load_weights, read_metadata, read_weights, save_weights

__all__ = ["load_weights", "read_metadata", "read_weights", "save_weights"]

"""Where a file's time goes on a phone, operation by operation, layer by layer, block by block."""

from tfeff.profile.join import join
from tfeff.profile.picture import draw_picture

__all__ = ["draw_picture", "join"]

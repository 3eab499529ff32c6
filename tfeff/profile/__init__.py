"""Where a file's time goes on a phone, operation by operation, layer by layer, block by block."""

from tfeff.profile.join import Profile, join
from tfeff.profile.picture import draw_picture

__all__ = ["Profile", "draw_picture", "join"]

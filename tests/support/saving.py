"""Models of one image as the converter takes them."""

from pathlib import Path

from tfeff.data import InputPort
from tfeff.export.quantize import write_saved_model


def image_ports(shape):
    """The ports of a model that takes arrays (h, w, c), its input called `image`."""
    return (InputPort("image", tuple(shape)),)


def save_image_model(model, folder, shape):
    """The SavedModel of a network of one image, (h, w, c), and one output, `logits`."""
    write_saved_model(model, Path(folder), image_ports(shape), ("logits",))

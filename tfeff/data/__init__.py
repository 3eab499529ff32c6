"""Datasets and preprocessing. Needs numpy and Pillow only; TensorFlow is never imported here."""

from tfeff.data.dataset import Dataset, Subset, TensorDataset
from tfeff.data.feeds import InputPort, feed, image_port, record_ports
from tfeff.data.pixels import Pixels
from tfeff.data.preprocessing import Preprocessing
from tfeff.data.sources import default_evaluation, is_named, open_dataset
from tfeff.data.within import is_within

__all__ = ["Dataset", "InputPort", "Pixels", "Preprocessing", "Subset", "TensorDataset", "default_evaluation", "feed",
           "image_port", "is_named", "is_within", "open_dataset", "record_ports"]  # fmt: skip

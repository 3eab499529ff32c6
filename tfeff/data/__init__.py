"""Datasets and preprocessing. Needs numpy and Pillow only; TensorFlow is never imported here."""

from tfeff.data.dataset import Dataset, Subset
from tfeff.data.preprocessing import Preprocessing
from tfeff.data.sources import default_evaluation, open_dataset

__all__ = ["Dataset", "Preprocessing", "Subset", "default_evaluation", "open_dataset"]

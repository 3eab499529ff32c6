"""From a Keras model to a verified artifact. `pipeline.py` shows the whole way.

`export_model` is what programs call; `tfeff export` is the same from the command line. Importing this package loads no
TensorFlow.
"""

from tfeff.export.checks import artifact_path, check_request
from tfeff.export.context import ExportContext, Progress, no_progress
from tfeff.export.model import Model, classifier
from tfeff.export.pipeline import Export, export_model
from tfeff.export.request import Request
from tfeff.export.trained import QuantizedFile, Trained, TrainedGraph

__all__ = ["Export", "ExportContext", "Model", "Progress", "QuantizedFile", "Request", "Trained", "TrainedGraph",
           "artifact_path", "check_request", "classifier", "export_model", "no_progress"]  # fmt: skip

"""From a Keras model to a verified artifact. `pipeline.py` shows the whole way.

`export_model` is what programs call; `tfeff export` is the same from the command line. Importing this package loads no
TensorFlow.
"""

from tfeff.export.context import ExportContext, Progress, no_progress
from tfeff.export.model import Model
from tfeff.export.pipeline import Export, artifact_path, check_request, export_model
from tfeff.export.request import Request

__all__ = ["Export", "ExportContext", "Model", "Progress", "Request", "artifact_path", "check_request",
           "export_model", "no_progress"]  # fmt: skip

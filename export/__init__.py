"""From a Keras model to a verified artifact. `pipeline.py` shows the whole way.

`export_model` is what programs call; `tfeff export` is the same from the command line. Importing this package loads no
TensorFlow.
"""

from tfeff.export.pipeline import Export, Request, artifact_path, check_request, export_model
from tfeff.export.subject import Subject

__all__ = ["Export", "Request", "Subject", "artifact_path", "check_request", "export_model"]

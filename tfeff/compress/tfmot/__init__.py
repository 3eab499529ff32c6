"""tensorflow-model-optimization (tfmot): its quantization-aware training, pruning and weight clustering.

tfmot takes networks of tf_keras only. `bridge` rebuilds a Keras 3 network there with equal weights and proves it, in a
process of its own, for the two Keras do not mix. `docs/tfmot.md` says what it takes and what not.
"""

from tfeff.compress.tfmot.cluster import cluster
from tfeff.compress.tfmot.compress import Compressed
from tfeff.compress.tfmot.exporting import CompressedExport, export_compressed
from tfeff.compress.tfmot.process import check_installed
from tfeff.compress.tfmot.prune import prune
from tfeff.compress.tfmot.qat import TfmotQat, refusals, tfmot_qat
from tfeff.compress.tfmot.samples import Training, check_model, read_samples

__all__ = [
    "Compressed",
    "CompressedExport",
    "TfmotQat",
    "Training",
    "check_installed",
    "check_model",
    "cluster",
    "export_compressed",
    "prune",
    "read_samples",
    "refusals",
    "tfmot_qat",
]

"""What calibration makes small of a detector: how far its answers are from those of the float network, box by box, as
far as mAP can see it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfeff.tasks.boxes import paired_overlaps
from tfeff.tasks.criteria import Criterion, Outputs
from tfeff.tasks.detection_decode import decode_boxes, decode_scores
from tfeff.tasks.detection_spec import DetectionSpec

_TINY = 1e-6  # a chance below is told apart by nobody
# What both parts cost in mAP, relative to the float network's: `benchmarks/detection_criterion.py`
_OF_BOXES, _OF_SCORES = 6.0, 0.08


@dataclass(frozen=True)
class DetectionError(Criterion):
    """What is lost of the float network's boxes and of its scores, before any box is dropped: an estimate of how much
    mAP is lost, as a share of the float network's.

    Boxes: 1 - IoU of the int8 file's box with the float network's at the same place, squared, mean over the places,
    each as often as the float network's largest score there says. Squared, for a box that moves a little is as often
    nearer to its object as farther. Scores: the Kullback-Leibler divergence of yes or no, summed over all classes and
    places that either of the two lists (a score above the threshold), over the sum of these largest scores: nats a box;
    its square root, as what is put in another order grows with the scores' error and not with its square. Places that
    neither lists have no say, whatever their raw values are: no metric sees them.
    """

    spec: DetectionSpec
    name = "share of mAP lost, estimated of boxes' overlap and scores' divergence"
    enough = None

    def terms(self, wanted: Outputs, given: Outputs) -> np.ndarray:
        """(divergence of the scores, squared lost overlap times score, score), each summed over an image."""
        scores, others = decode_scores(wanted, self.spec), decode_scores(given, self.spec)
        threshold = self.spec.score_threshold
        listed = (scores > threshold) | (others > threshold)
        p, q = (np.clip(each[listed], _TINY, 1 - _TINY) for each in (scores, others))
        apart = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        sure = np.where(listed.any(axis=1), scores.max(axis=1), 0.0)
        lost = 1 - paired_overlaps(decode_boxes(wanted, self.spec), decode_boxes(given, self.spec))
        return np.array([apart.sum(), sure @ lost**2, sure.sum()])

    def loss(self, terms: Sequence[np.ndarray]) -> float:
        apart, lost, sure = (math.fsum(term[k] for term in terms) for k in range(3))
        sure = max(sure, 1e-12)
        return _OF_BOXES * lost / sure + _OF_SCORES * math.sqrt(max(0.0, apart) / sure)

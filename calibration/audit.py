"""The audit: whether calibration images are fit to choose ranges by, said before anything is quantized."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfeff.calibration import audit_activations, audit_inputs, audit_network, left_out
from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration
from tfeff.calibration.methods import Method
from tfeff.calibration.observe import Observation
from tfeff.data import Preprocessing


def audit(
    calibration: Calibration,
    preprocessing: Preprocessing,
    network: Activations,
    seen: Observation,
    method: Method,
    folder: Path,
    *,
    labels: Sequence[str] = (),
    trained: bool = True,
    seed: int = 0,
) -> tuple[Calibration, Observation]:
    """Looks at the images and at what was seen of them.

    Args:
        calibration: the collected images.
        preprocessing: what the network wants.
        network: the network, ready to run.
        seen: what `observe` saw of these images.
        method: how ranges are chosen.
        folder: a scratch folder.
        labels: class names in the order of the outputs, empty when unknown.
        trained: whether the network's own word means anything.
        seed: of the shuffles.

    Returns:
        The calibration with all findings, the images that are left out and how far its ranges move; and what was seen,
        without these images.
    """
    inputs = audit_inputs.measure(calibration, preprocessing, folder)
    shares, most = left_out.distances(seen.extremes)
    far = left_out.far_images(shares)
    which = left_out.left_out(far, audit_inputs.outside(preprocessing, inputs), calibration.used)
    findings = [
        *audit_inputs.near_duplicates(calibration, inputs),
        *audit_inputs.class_coverage(calibration),
        *audit_inputs.value_range(calibration, preprocessing, inputs),
        *audit_inputs.channels(calibration, preprocessing, inputs),
        *audit_inputs.blank_and_noise(calibration, inputs),
        *audit_activations.outlier_images(calibration, far, shares, most),
        *audit_activations.constant_channels(seen),
    ]
    if trained:
        findings += audit_network.channel_order(calibration, preprocessing, network, labels)
    seen = seen.without(network, calibration.images(which), which)
    stability = audit_activations.stability(seen, method, np.random.default_rng(seed))
    findings += audit_activations.unstable(stability)
    findings.sort(key=lambda each: each.severity != "grave")  # those that stop first, the others as they came
    return calibration.with_audit(method.name, findings, which, stability), seen

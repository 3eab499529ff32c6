"""The audit: whether calibration samples are fit to choose ranges by, said before anything is quantized."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from tfeff.calibration import audit_activations, audit_inputs, audit_network, left_out
from tfeff.calibration.activations import Activations
from tfeff.calibration.collect import Calibration
from tfeff.calibration.findings import GRAVE
from tfeff.calibration.methods import Method
from tfeff.calibration.observe import Observation
from tfeff.record.schema import Finding, TaskSpec


def audit(
    calibration: Calibration,
    network: Activations,
    seen: Observation,
    method: Method,
    folder: Path,
    *,
    tasks: Sequence[TaskSpec] = (),
    seed: int = 0,
) -> tuple[Calibration, Observation]:
    """Looks at the samples and at what was seen of them.

    Args:
        calibration: the collected samples.
        network: the network, ready to run.
        seen: what `observe` saw of these samples.
        method: how ranges are chosen.
        folder: a scratch folder.
        tasks: what the outputs mean; none where the network was never trained, so that its word means nothing.
        seed: of the shuffles.

    Returns:
        The calibration with all findings, the samples that are left out and how far its ranges move; and what was seen,
        without these samples.
    """
    noun = calibration.noun
    images = [audit_inputs.measure(calibration, port, folder) for port in calibration.ports if port.preprocessing]
    shares, most = left_out.distances(seen.extremes)
    far = left_out.far_images(shares)
    outside = np.unique(np.concatenate([np.zeros(0, int), *map(audit_inputs.outside, images)]))
    odd = far[np.isin(far, _odd(images, outside, seen))]
    sound = far[~np.isin(far, odd)]
    which = left_out.left_out(odd, outside, calibration.used)
    findings = [
        *_of_inputs(calibration, images),
        *audit_activations.outlier_images(calibration, odd, shares, most),
        *audit_activations.far_images(calibration, sound, shares, most),
        *audit_activations.constant_channels(seen, noun),
    ]
    for port in calibration.ports:
        findings += _of_port(port.name, calibration, audit_network.channel_order(calibration, port, network, tasks))
    seen = seen.without(network, calibration.feeds(which), which)
    stability = audit_activations.stability(seen, method, np.random.default_rng(seed))
    findings += audit_activations.unstable(stability, noun)
    findings.sort(key=lambda each: each.severity != GRAVE)  # those that stop first, the others as they came
    return calibration.with_audit(method.name, findings, [int(number) for number in which], stability), seen


def _odd(images, outside, seen):
    """Numbers of the samples that are unlike the others before the network has made anything of them."""
    doors = [number for number, tensor in enumerate(seen.tensors) if tensor.input is not None]
    reaching = np.nonzero(left_out.distances(seen.extremes, doors)[0])[0]
    damaged = [np.nonzero(each.noise | each.flat)[0] for each in images]
    return np.unique(np.concatenate([outside, reaching, *damaged]))


def _of_inputs(calibration, images):
    """What the inputs say by themselves."""
    alone = len(calibration.ports) == 1  # of several inputs one may well be as before
    found = audit_inputs.near_duplicates(calibration, images[0]) if images and alone else []
    found += audit_inputs.class_coverage(calibration)
    by_name = {each.port: each for each in images}
    for port in calibration.ports:
        of_port = (
            audit_inputs.image_findings(calibration, by_name[port.name])
            if port.name in by_name
            else audit_inputs.array_findings(calibration, port)
        )
        found += _of_port(port.name, calibration, of_port)
    return found


def _of_port(name: str, calibration: Calibration, findings: list[Finding]) -> list[Finding]:
    """Findings about an input, which is named where there are several."""
    if len(calibration.ports) == 1:
        return findings
    return [msgspec.structs.replace(each, text=f"input {name}: {each.text}") for each in findings]

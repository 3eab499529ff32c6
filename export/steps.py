"""The steps of an export that take more than a line: see `pipeline`."""

from dataclasses import asdict

import numpy as np
from tfeff.export.on_device import time_files
from tfeff.export.placing import twin_path

from tfeff.errors import GateFailed, TfeffError

PROOF_IMAGES = 16  # inputs on which rewrites and the float file are proven
FLOAT_TOLERANCE = 1e-4  # of the largest output: float kernels of another runtime sum in another order
# The float twin is the network as trained but for this: no converter takes a kernel that is computed from a weight.
TWIN_REWRITES = ("freeze_shift",)


def calibrate(subject, request, needed, scratch, progress, *, noise=False):
    """The calibration images; where ranges need none, a few of them for the proofs if there are any.

    Args:
        needed: whether ranges come from them.
        noise: whether seeded noise stands in where there are none and none are needed.
    """
    from tfeff.calibration import Calibration, collect

    if request.calibration is None:
        if noise:
            path, images = scratch / "calibration.npy", some_inputs(subject.preprocessing.shape)
            np.save(path, images)
            return Calibration(path, "seeded noise", None, None, len(images), ())
        if not needed:
            return None
        raise TfeffError(
            f"{request.precision} for {request.target} needs representative images",
            "give --calibration (a folder, an .npz, a dataset's name, or module:function)",
        )
    return collect(
        request.calibration,
        subject.preprocessing,
        scratch / "calibration.npy",
        **({"samples": request.samples} if needed else {"limit": PROOF_IMAGES}),
        seed=request.seed,
        progress=lambda done, total: progress("calibrating", done, total),
    )


def some_inputs(shape):
    """Inputs for the proofs where no images were given."""
    return np.random.default_rng(0).standard_normal((PROOF_IMAGES, *shape)).astype(np.float32)


def rewrite(subject, specs, proof, choices=None):
    """The model to convert, what was rewritten in it, and a note on why nothing was where it could not be."""
    if not specs or not subject.is_keras:
        return subject.model, [], None if subject.is_keras else "the network is no Keras model"
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import CannotRewrite, apply_rewrites

    rewrites = [load_rewrite(spec, (choices or {}).get(spec.partition(":")[0])) for spec in specs]
    try:
        return *apply_rewrites(subject.model, rewrites, proof), None
    except CannotRewrite as why:
        return subject.model, [], why.what


def rewrites_as_dicts(applied, target):
    """The record's `rewrites` entry."""
    return [{**asdict(each), "because": target.because.get(each.name, "")} for each in applied]


def gate_operations(graph, precision, target):
    """No float operation in an integer file, and nothing that makes the target refuse it whole."""
    if precision.integer and (left := graph.float_operations()):
        left.sort(key=lambda op: op.name in ("QUANTIZE", "DEQUANTIZE"))  # the cause first, its fence last
        shown = "; ".join(op.label for op in left[:5]) + (f"; and {len(left) - 5} more" if len(left) > 5 else "")
        raise GateFailed(
            f"--{precision.name} left {len(left)} of {len(graph.operations)} operations in float: {shown}",
            "replace these layers by ones that quantize, or export --float16; nothing was written",
        )
    verdict = target.check(graph)
    if verdict.problems:
        reasons = "; ".join(problem.reason for problem in verdict.problems)
        mends = "; ".join(dict.fromkeys(problem.mend for problem in verdict.problems if problem.mend))
        raise GateFailed(
            f"target {target.name} would not run this file: {reasons}", f"{mends}; nothing was written".lstrip("; ")
        )
    return verdict


def prove_float(subject, twin, proof):
    """That the float file computes what the network computes: the first link of the chain to the quantized file."""
    from tfeff.compare import Runner

    runner = Runner(twin)
    file_outputs = np.stack([runner(image) for image in proof])
    outputs = np.concatenate([np.asarray(subject.model(image[None])) for image in proof])
    error = float(np.abs(file_outputs - outputs.reshape(file_outputs.shape)).max())
    relative = error / max(float(np.abs(outputs).max()), 1e-12)
    if not relative <= FLOAT_TOLERANCE:
        raise TfeffError(
            f"the float file differs from {subject.network} by {relative:.1e} of its largest output "
            f"({FLOAT_TOLERANCE:.0e} is allowed)",
            "see whether the network behaves differently in training and in inference, or yields NaN",
        )
    return {"max_abs_error": error, "relative_error": relative}


def counts(subject):
    """Parameters and multiply-adds of the network as it was given."""
    if not subject.is_keras:
        return {"parameters": None, "macs": None}
    from tfeff.cost import count

    try:
        counted = count(subject.model)
    except (ValueError, AttributeError):  # a user's own layers, or a model that is no graph
        return {"parameters": int(subject.model.count_params()), "macs": None}
    return {"parameters": counted.parameters, "macs": counted.madds}


def compare(subject, request, file, twin, progress):
    """The record's `accuracy` entry; None where there is nothing to compare."""
    if request.dataset is None or subject.random_weights:
        return None
    from tfeff.compare import compare as compare_files
    from tfeff.data import open_dataset

    return compare_files(
        file,
        twin,
        open_dataset(request.dataset, "test"),
        subject.preprocessing,
        samples=request.evaluation_samples,
        labels=subject.labels or None,
        seed=request.seed,
        progress=lambda done, total: progress("comparing", done, total),
    )


def time(request, preprocessing, file, twin, path, record, progress):
    """Times the file and its twin against each other; the file's own figures go into its record."""
    if not request.devices:
        return None
    from tfeff.bench import latency_entry, ratio_to_float

    timing = time_files(
        [twin, file], request.devices, request, lambda done, total: progress("timing", done, total), preprocessing
    )
    # By the file: of a float32 export the twin has the same bytes.
    own = [result for result in timing["results"] if result["file"] == str(file) and "void" not in result]
    pairs = timing["results"], timing["ratios"], record["float_twin"]["sha256"]
    record["latency"] = [latency_entry(result, ratio_to_float(result, *pairs)) for result in own]
    names = {str(file): str(path), str(twin): str(twin_path(path))}  # they are timed where they were made
    for result in timing["results"]:
        result["file"] = names[result["file"]]
    for ratio in timing["ratios"]:
        ratio["a"], ratio["b"] = names[ratio["a"]], names[ratio["b"]]
    return timing


def missed_gates(request, target, record):
    """One line for each gate that was not met."""
    missed = []
    accuracy, check = record["accuracy"], record["check"]
    if request.max_drop is not None and accuracy is not None and -accuracy["delta"] > request.max_drop:
        kept = (record["quantization"] or {}).get("kept_float") or {}
        why = f"; {kept['refused']}" if "refused" in kept else ""
        missed.append(f"top-1 fell by {-accuracy['delta']:.2f} points, --max-drop allows {request.max_drop:g}{why}")
    if request.max_latency_ms is not None:
        missed += [
            f"{entry['median_ms']:.3f} ms on {entry['device']}, --max-latency-ms allows {request.max_latency_ms:g}"
            for entry in record["latency"]
            if entry["median_ms"] > request.max_latency_ms
        ]
    if target.whole and not check["ok"]:
        missed.append(
            f"{target.name} takes {check['mapped']} of {check['total']} operations ({check['basis']}); "
            f"the first that it does not: {check['first_break']}"
        )
    return missed

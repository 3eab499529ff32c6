"""The whole way from a network to a verified artifact, top to bottom.

check the request -> calibration images -> rewrites, each proven -> convert (own process) -> no float operation left?
-> float file equals Keras? -> accuracy, float against quantized -> latency -> record -> put in place
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tfeff.export import quantize
from tfeff.export.flatbuffer import describe_operations, describe_tensor, read_graph
from tfeff.export.quantize.convert import environment_versions
from tfeff.export.subject import Subject
from tfeff.export.targets import get_target

from tfeff.artifact import SCHEMA_VERSION, check_tflite, record_path, write_record
from tfeff.errors import GateFailed, TfeffError

_PROOF_IMAGES = 16  # inputs on which rewrites and the float file are proven
# The float twin is the network as trained but for this: no converter takes a kernel that is computed from a weight.
_TWIN_REWRITES = ("freeze_shift",)
_FLOAT_TOLERANCE = 1e-4  # of the largest output: float kernels of another runtime sum in another order


@dataclass(frozen=True)
class Request:
    """What to make of a network.

    Attributes:
        precision: a key of `quantize.PRECISIONS`; "int8" is static full integer.
        target: what the file must run on.
        io: dtype of input and output; None is the precision's own.
        calibration: source of representative images; needed for int8 and int16x8. Without it, rewrites and the float
            file are proven on seeded random inputs.
        samples: how many of them; None takes up to 512.
        dataset: labelled images for the comparison; None leaves it out.
        evaluation_samples: how many of those; None is all.
        devices: where it is timed; empty leaves it out.
        threads: of the runtime.
        max_drop: gate, points of top-1 that quantization may cost.
        max_latency_ms: gate, for the median on every device.
        force: whether an existing artifact may be replaced.
        seed: chooses images, and the order of timing.
    """

    precision: str = "int8"
    target: str = "litert"
    io: str | None = None
    calibration: str | None = None
    samples: int | None = None
    dataset: str | None = None
    evaluation_samples: int | None = None
    devices: tuple[str, ...] = ("local",)
    threads: int = 1
    max_drop: float | None = None
    max_latency_ms: float | None = None
    force: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Export:
    """What came of it.

    Attributes:
        path: the artifact's `.tflite`.
        record: what stands in the `.json` beside it.
        failed: gates that were not met, one line each; the artifact is there all the same.
        latency: what `tfeff.bench.bench` said, float twin and ratios included; None when nothing was timed.
    """

    path: Path
    record: dict[str, Any]
    failed: tuple[str, ...]
    latency: dict[str, Any] | None


def artifact_path(out: Path, name: str, request: Request) -> Path:
    """Where the artifact goes: `out` itself if it names a `.tflite`, else a name made of what it is, in that folder."""
    if out.suffix == ".tflite":
        return out
    parts = [name, request.precision]
    parts += [request.target] if request.target != "litert" else []
    parts += [f"{request.io}-io"] if request.io not in (None, quantize.PRECISIONS[request.precision].io[0]) else []
    return out / f"{'.'.join(parts)}.tflite"


def check_request(request: Request, path: Path) -> None:
    """Everything that can be known to be wrong before seconds are spent.

    Raises:
        TfeffError: an unknown word, an output that is there or cannot be written, a device or a dataset that is not
        there.
    """
    get_target(request.target)
    if request.precision not in quantize.PRECISIONS:
        raise TfeffError(f"unknown precision {request.precision!r}", f"choose one of {', '.join(quantize.PRECISIONS)}")
    quantize.check_io(quantize.PRECISIONS[request.precision], request.io)
    if request.max_drop is not None and request.dataset is None:
        raise TfeffError("--max-drop: there is nothing to compare on", "give --dataset with labelled images")
    if request.max_latency_ms is not None and not request.devices:
        raise TfeffError("--max-latency-ms: nothing is timed", "give --on DEVICE")
    for existing in (path, record_path(path), _twin_path(path)):
        if existing.exists() and not request.force:
            raise TfeffError(f"{existing}: exists already", "give --force to replace it, or another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise TfeffError(f"{path.parent}: cannot be written ({error.strerror})", "choose another --out") from None
    if request.dataset is not None:
        from tfeff.data import open_dataset

        open_dataset(request.dataset, "test")
    if request.devices:
        from tfeff.bench.devices import find_device

        for device in request.devices:
            find_device(device).start().close()


def export_model(
    subject: Subject,
    path: Path,
    request: Request = Request(),
    *,
    command: str = "",
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Export:
    """Exports a network.

    Args:
        subject: the network.
        path: the `.tflite` to write; its record and its float twin go beside it.
        command: the command line, for the record.
        progress: called with (step, done, total).

    Raises:
        TfeffError: bad input, or a proof that failed.
        GateFailed: an integer precision left float operations, or the target would not run the file; nothing is
        written.
    """
    check_request(request, path)
    target, precision = get_target(request.target), quantize.PRECISIONS[request.precision]
    io = quantize.check_io(precision, request.io)
    shape = subject.preprocessing.shape
    with _scratch(path) as scratch:
        calibration = _calibrate(subject, request, precision, scratch, progress)
        proof = calibration.inputs(_PROOF_IMAGES) if calibration else _some_inputs(shape)

        progress("rewriting", 0, 0)
        twin_model, twin_applied = model, applied = _rewrite(subject, _TWIN_REWRITES, proof)
        if target.rewrites != _TWIN_REWRITES:
            model, applied = _rewrite(subject, target.rewrites, proof)

        progress("converting", 0, 0)
        quantize.write_saved_model(twin_model, scratch / "original", shape)
        original = rewritten = scratch / "original"
        if model is not twin_model:
            rewritten = scratch / "rewritten"
            quantize.write_saved_model(model, rewritten, shape)
        file, twin = scratch / path.name, scratch / _twin_path(path).name
        jobs = [
            quantize.Job(str(original), "float32", "float32", str(twin)),
            quantize.Job(str(rewritten), precision.name, io, str(file)),
        ]
        quantize.convert(jobs, calibration and calibration.path, scratch)

        graph = read_graph(file)
        _gate_operations(graph, precision, target)
        progress("proving", 0, 0)
        float_error = _prove_float(subject, twin, proof)

        record = {
            "schema_version": SCHEMA_VERSION,
            "network": subject.network,
            "preset": subject.preset,
            "target": target.name,
            "file": path.name,
            "sha256": check_tflite(file),
            "size_bytes": file.stat().st_size,
            "float_twin": {
                "file": twin.name,
                "sha256": check_tflite(twin),
                "size_bytes": twin.stat().st_size,
                "rewrites": [rewrite.name for rewrite in twin_applied],
                **float_error,
            },
            "input": {"name": "image", **describe_tensor(graph.inputs[0])},
            "output": {"name": "logits", **describe_tensor(graph.outputs[0])},
            "preprocessing": subject.preprocessing.as_dict(),
            "labels": list(subject.labels),
            "precision": precision.name,
            "weights": "random" if subject.random_weights else "trained",
            "dataset": subject.dataset,
            "ops": describe_operations(graph),
            "min_runtime_version": graph.min_runtime_version,
            **_counts(subject),
            "rewrites": [asdict(rewrite) for rewrite in applied],
            "proof": {"inputs": len(proof), "source": calibration.source if calibration else "seeded noise"},
            "calibration": calibration.as_dict() if calibration and precision.calibrated else None,
            "accuracy": _compare(subject, request, file, twin, progress),
            "latency": [],
            "notes": list((*subject.notes, *_not_rewritten(subject, target))),
            "command": command,
            "versions": environment_versions(),
        }
        timing = _time(request, file, twin, path, record, progress)
        failed = _gates(request, record)
        record["gates"] = {"max_drop": request.max_drop, "max_latency_ms": request.max_latency_ms, "failed": failed}
        _put_in_place(file, twin, record, path)
    return Export(path, record, tuple(failed), timing)


def _calibrate(subject, request, precision, scratch, progress):
    """The calibration images; for a precision that needs none, a few of them for the proofs if there are any."""
    from tfeff.calibration import collect

    if request.calibration is None:
        if not precision.calibrated:
            return None
        raise TfeffError(
            f"{request.precision} for {request.target} needs representative images",
            "give --calibration (a folder, an .npz, a dataset's name, or module:function)",
        )
    return collect(
        request.calibration,
        subject.preprocessing,
        scratch / "calibration.npy",
        **({"samples": request.samples} if precision.calibrated else {"limit": _PROOF_IMAGES}),
        seed=request.seed,
        progress=lambda done, total: progress("calibrating", done, total),
    )


def _some_inputs(shape):
    """Inputs for the proofs where no images were given."""
    return np.random.default_rng(0).standard_normal((_PROOF_IMAGES, *shape)).astype(np.float32)


def _rewrite(subject, names, proof):
    """The model to convert, and what was rewritten in it."""
    if not names or not subject.is_keras:
        return subject.model, []
    from tfeff.export.rewrites import load_rewrite
    from tfeff.export.rewrites.core import apply_rewrites, as_functional

    if as_functional(subject.model) is None:
        return subject.model, []
    return apply_rewrites(subject.model, [load_rewrite(name) for name in names], proof)


def _not_rewritten(subject, target):
    """A note where the target has rewrites of its own and the network no graph to apply them to."""
    if set(target.rewrites) <= {*_TWIN_REWRITES}:
        return []
    from tfeff.export.rewrites.core import as_functional

    if as_functional(subject.model) is not None:
        return []
    return [f"not rewritten for {target.name}: the network is no functional Keras model"]


def _gate_operations(graph, precision, target):
    if precision.integer and (left := graph.float_operations()):
        left.sort(key=lambda op: op.name in ("QUANTIZE", "DEQUANTIZE"))  # the cause first, its fence last
        shown = "; ".join(op.label for op in left[:5]) + (f"; and {len(left) - 5} more" if len(left) > 5 else "")
        raise GateFailed(
            f"--{precision.name} left {len(left)} of {len(graph.operations)} operations in float: {shown}",
            "replace these layers by ones that quantize, or export --float16; nothing was written",
        )
    if problems := target.problems(graph):
        raise GateFailed(f"target {target.name} would not run this file: {'; '.join(problems)}", "nothing was written")


def _prove_float(subject, twin, proof):
    """That the float file computes what the network computes: the first link of the chain to the quantized file."""
    from tfeff.compare import Runner

    runner = Runner(twin)
    file_outputs = np.stack([runner(image) for image in proof])
    outputs = np.concatenate([np.asarray(subject.model(image[None])) for image in proof])
    error = float(np.abs(file_outputs - outputs.reshape(file_outputs.shape)).max())
    relative = error / max(float(np.abs(outputs).max()), 1e-12)
    if not relative <= _FLOAT_TOLERANCE:
        raise TfeffError(
            f"the float file differs from {subject.network} by {relative:.1e} of its largest output "
            f"({_FLOAT_TOLERANCE:.0e} is allowed)",
            "see whether the network behaves differently in training and in inference, or yields NaN",
        )
    return {"max_abs_error": error, "relative_error": relative}


def _counts(subject):
    if not subject.is_keras:
        return {"parameters": None, "macs": None}
    from tfeff.cost import count

    try:
        counts = count(subject.model)
    except (ValueError, AttributeError):  # a user's own layers, or a model that is no graph
        return {"parameters": int(subject.model.count_params()), "macs": None}
    return {"parameters": counts.parameters, "macs": counts.madds}


def _compare(subject, request, file, twin, progress):
    if request.dataset is None or subject.random_weights:
        return None
    from tfeff.compare import compare
    from tfeff.data import open_dataset

    return compare(
        file,
        twin,
        open_dataset(request.dataset, "test"),
        subject.preprocessing,
        samples=request.evaluation_samples,
        labels=subject.labels or None,
        seed=request.seed,
        progress=lambda done, total: progress("comparing", done, total),
    )


def _time(request, file, twin, path, record, progress):
    """Times the file and its twin against each other; the file's own figures go into its record."""
    if not request.devices:
        return None
    from tfeff.bench import bench, latency_entry

    timing = bench(
        [twin, file],
        request.devices,
        threads=request.threads,
        seed=request.seed,
        progress=lambda done, total: progress("timing", done, total),
    )
    # By the file: of a float32 export the twin has the same bytes.
    own = [result for result in timing["results"] if result["file"] == str(file)]
    record["latency"] = [latency_entry(result) for result in own]
    names = {str(file): str(path), str(twin): str(_twin_path(path))}  # they are timed where they were made
    for result in timing["results"]:
        result["file"] = names[result["file"]]
    for ratio in timing["ratios"]:
        ratio["a"], ratio["b"] = names[ratio["a"]], names[ratio["b"]]
    return timing


def _gates(request, record):
    failed = []
    accuracy = record["accuracy"]
    if request.max_drop is not None and accuracy is not None and -accuracy["delta"] > request.max_drop:
        failed.append(f"top-1 fell by {-accuracy['delta']:.2f} points, --max-drop allows {request.max_drop:g}")
    if request.max_latency_ms is not None:
        failed += [
            f"{entry['median_ms']:.3f} ms on {entry['device']}, --max-latency-ms allows {request.max_latency_ms:g}"
            for entry in record["latency"]
            if entry["median_ms"] > request.max_latency_ms
        ]
    return failed


def _twin_path(path):
    return path.with_name(f"{path.stem}.twin.tflite")


@contextmanager
def _scratch(path):
    """A hidden folder beside the artifact, on the same file system so that renames are atomic; swept when it ends.

    What a killed export left behind (its process is gone) is swept here too.
    """
    prefix = ".tfeff-export-"
    for leftover in path.parent.glob(f"{prefix}*"):
        owner = leftover.name.removeprefix(prefix).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc").exists():
            shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(file, twin, record, path):
    """Renames the finished files; the record comes last, so an artifact with a record is always whole."""
    record_path(path).unlink(missing_ok=True)
    os.replace(twin, _twin_path(path))
    os.replace(file, path)
    write_record(record_path(path), record)

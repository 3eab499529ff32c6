"""The whole way from a network to a verified artifact, top to bottom.

check the request -> calibration images -> rewrites, each proven -> convert (own process) to float -> audit the images
on it, find the ranges -> quantize (own process) -> no float operation left? -> does the target take it? -> float file
equals Keras? -> accuracy, float against quantized -> latency -> the target's compiler -> record -> put in place
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.artifact import check_tflite, record_path
from tfeff.errors import TfeffError
from tfeff.export import on_device, quantize, steps
from tfeff.export.model import Model
from tfeff.export.placing import compiled_path, put_in_place, scratch, twin_path
from tfeff.export.quantize import measuring, orchestrate
from tfeff.export.quantize.convert import environment_versions
from tfeff.export.request import Request
from tfeff.export.targets import CompilerOptions, Target, get_target
from tfeff.tflite.graph import describe_operations, describe_tensor, read_graph


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
    target = get_target(request.target)
    if request.precision not in quantize.PRECISIONS:
        raise TfeffError(f"unknown precision {request.precision!r}", f"choose one of {', '.join(quantize.PRECISIONS)}")
    if target.precisions is not None and request.precision not in target.precisions:
        raise TfeffError(f"{target.name} takes no {request.precision}", f"export --{' or --'.join(target.precisions)}")
    _door(request, target)
    check_compiler(request.compiler, target)
    measuring.parse_choice(request.method, request.ranges)
    orchestrate.check_quantizer(request)
    if request.max_drop is not None and request.dataset is None:
        raise TfeffError("--max-drop: there is nothing to compare on", "give --dataset with labelled images")
    if request.max_latency_ms is not None and not request.devices:
        raise TfeffError("--max-latency-ms: nothing is timed", "give --on DEVICE")
    compiled = [compiled_path(path, target.compiled_suffix)] if target.compiled_suffix else []
    for existing in (path, record_path(path), twin_path(path), *compiled):
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
    on_device.check_binary(request)
    if request.devices or request.tune:
        words = {device: "--on" for device in request.devices} | ({request.tune: "--tune"} if request.tune else {})
        for device, word in words.items():
            on_device.check_device(device, word, request.benchmark_binary)


def export_model(
    subject: Model,
    path: Path,
    request: Request | None = None,
    *,
    trained=None,
    training: Mapping[str, Any] | None = None,
    command: str = "",
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Export:
    """Exports a network.

    Args:
        subject: the network.
        path: the `.tflite` to write; its record and its float twin go beside it.
        trained: a fake-quant graph of the network, trained with its ranges: the int8 file is made of it. None is the
            subject's own, if it came as one. Or the path of an int8 file that another tool made of the network.
        training: how it was trained, for the record's `quantization.training`; what is under `calibration`, the images
            that its ranges began with, is the record's `calibration`.
        command: the command line, for the record.
        progress: called with (step, done, total).

    Raises:
        TfeffError: bad input, or a proof that failed.
        GateFailed: an integer precision left float operations, or the target would not run the file; nothing is
        written.
    """
    check_request(request, path)
    target, precision = get_target(request.target), quantize.PRECISIONS[request.precision]
    trained = None if precision.name != "int8" else subject.fake_quant if trained is None else trained
    if trained is not None:
        request = orchestrate.as_trained(request, trained, own=subject.fake_quant is not None)
    training = dict(training or {})
    io, shape = _door(request, target), subject.preprocessing.shape
    with scratch(path) as folder, quantize.Converter(folder) as converter:
        converter.start()
        needed = precision.calibrated and trained is None
        calibration = steps.calibrate(subject, request, needed, folder, progress, noise=trained is not None)
        proof = calibration.inputs(steps.PROOF_IMAGES) if calibration else steps.some_inputs(shape)

        # What came as a fake-quant graph has its target's rewrites in it.
        made = trained is not None and trained is subject.fake_quant
        specs, choices, tuning = () if made else target.rewrites, {}, None
        if request.tune:
            from tfeff.export.tune import tune

            specs, choices, tuning = tune(subject, target, request, precision, folder, progress)
        progress("rewriting", 0, 0)
        twin_model, twin_applied, _ = steps.rewrite(subject, steps.TWIN_REWRITES, proof)
        model, applied, not_rewritten = steps.rewrite(subject, specs, proof, choices)

        progress("converting", 0, 0)
        quantize.write_saved_model(twin_model, folder / "original", shape)
        original = rewritten = folder / "original"
        file, twin = folder / path.name, folder / twin_path(path).name
        jobs, begun = [quantize.Job(str(original), "float32", "float32", str(twin))], None
        if precision.name == "int8":
            begun = orchestrate.begin(subject, request, model, calibration, io, file, folder, trained)
            jobs += begun.jobs
        else:
            if [each.name for each in applied] != [each.name for each in twin_applied]:
                rewritten = folder / "rewritten"
                quantize.write_saved_model(model, rewritten, shape)
            ranged = folder / "ranged.tflite"
            if precision.calibrated:
                jobs.append(quantize.Job(str(rewritten), "int8", "int8", str(ranged), step="calibrate"))
            jobs.append(quantize.Job(str(rewritten), precision.name, io, str(file)))
        converter.convert(jobs, calibration and calibration.path)
        quantization = None
        if begun is not None:
            calibration, quantization = orchestrate.finish(
                subject, request, begun, calibration, io, file, folder, converter, progress
            )
        elif precision.calibrated:  # 16 bits have room for all values: the converter's own ranges
            calibration = measuring.audited(ranged, subject, request, calibration, folder, progress)

        def compare(path):
            return steps.compare(subject, request, path, twin, progress)

        graph = read_graph(file)
        verdict = steps.gate_operations(graph, precision, target)
        progress("proving", 0, 0)
        float_error = steps.prove_float(subject, twin, proof)
        accuracy = compare(file)
        if begun is not None:
            accuracy, changed = orchestrate.keep_some_float(
                subject, request, target, begun, model, calibration, accuracy, compare, io, file, twin, folder,
                converter, progress,
            )  # fmt: skip
            quantization |= changed
            if changed.get("simulation"):
                graph = read_graph(file)
                verdict = target.check(graph)

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
                "rewrites": [each.name for each in twin_applied],
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
            **steps.counts(subject),
            "rewrites": steps.rewrites_as_dicts(applied, target),
            "tuning": tuning,
            "proof": {"inputs": len(proof), "source": calibration.source if calibration else "seeded noise"},
            "calibration": calibration.as_dict() if calibration and needed else training.pop("calibration", None),
            "quantization": quantization and {**quantization, "training": training or None},
            "accuracy": accuracy,
            "latency": [],
            "notes": list(subject.notes),
            "command": command,
            "versions": environment_versions(),
        }
        record["notes"] += begun.notes if begun is not None else []
        if not_rewritten and set(specs) - set(steps.TWIN_REWRITES):
            record["notes"].append(f"not rewritten for {target.name}: {not_rewritten}")
        files = {twin: twin_path(path), file: path}
        verdict = _compile(request, target, file, path, verdict, record, files, folder, progress)
        record["check"] = verdict.as_dict()
        timing = steps.time(request, subject.preprocessing, file, twin, path, record, progress)
        failed = steps.missed_gates(request, target, record) + on_device.void_answers(timing)
        record["gates"] = {"max_drop": request.max_drop, "max_latency_ms": request.max_latency_ms, "failed": failed}
        stale = compiled_path(path, target.compiled_suffix) if target.compiled_suffix else None
        put_in_place(files, stale, record, path)
    return Export(path, record, tuple(failed), timing)


def check_compiler(options: CompilerOptions, target: Target) -> None:
    """Raises TfeffError for an option that the target's compiler does not have, or a value it does not know."""
    words = {"path": "--compiler", "accelerator": "--accelerator", "timeout_s": "--compiler-timeout"}
    for name, word in words.items():
        if getattr(options, name) is not None and name not in target.compiler_options:
            raise TfeffError(
                f"{word}: means nothing for target {target.name}", "leave it out, or choose another --target"
            )
    if options.timeout_s is not None and options.timeout_s <= 0:
        raise TfeffError(f"--compiler-timeout {options.timeout_s:g}: must be positive", "give seconds")
    if target.check_compiler is not None:
        target.check_compiler(options)


def _door(request, target):
    """The dtype of input and output."""
    return quantize.check_io(quantize.PRECISIONS[request.precision], request.io or target.io)


def _compile(request, target, file, path, verdict, record, files, folder, progress):
    """Runs the target's compiler, if it has one that is there; its word then stands in place of the prediction."""
    record["compiled"] = None
    if target.compile is None:
        return verdict
    progress("compiling", 0, 0)
    made = target.compile(file, folder, request.compiler)
    if made is None:
        record["notes"].append(f"what {target.name} takes is predicted: its compiler is not installed")
        return verdict
    final = compiled_path(path, made.suffix)
    files[made.path] = final
    record["compiled"] = {
        **made.details,
        "file": final.name,
        "sha256": check_tflite(made.path),
        "size_bytes": made.path.stat().st_size,
    }
    return made.verdict

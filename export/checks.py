"""Everything about a request that can be known to be wrong before seconds are spent."""

import os
import tempfile
from pathlib import Path

from tfeff.artifact import record_path
from tfeff.calibration.sources import check_source
from tfeff.data.space import check_memory, check_space
from tfeff.errors import TfeffError
from tfeff.export import on_device
from tfeff.export.model import Model
from tfeff.export.placing import compiled_path, failed_path, twin_path
from tfeff.export.quantize import measuring, orchestrate
from tfeff.export.quantize.recipes import PRECISIONS, check_io
from tfeff.export.request import Request
from tfeff.export.targets import CompilerOptions, Target, get_target

_COPIES = 4  # of the weights in float32, on the disk at once
# Both as measured: a process that has loaded TensorFlow, and how often its weights are in memory at once.
_CONVERTER_BYTES, _HELD = 550 * 2**20, 12


def artifact_path(out: Path, name: str, request: Request) -> Path:
    """Where the artifact goes: `out` itself if it names a `.tflite`, else a name made of what it is, in that folder."""
    if out.suffix == ".tflite":
        return out
    parts = [name, request.precision]
    parts += [request.target] if request.target != "litert" else []
    parts += [f"{request.io}-io"] if request.io not in (None, PRECISIONS[request.precision].io[0]) else []
    return out / f"{'.'.join(parts)}.tflite"


def check_request(request: Request, path: Path) -> None:
    """Checks the words of a request, and that what they name is there.

    Raises:
        TfeffError: an unknown word, an output that is there or cannot be written, a device or a dataset that is not
        there.
    """
    target = get_target(request.target)
    if request.precision not in PRECISIONS:
        raise TfeffError(f"unknown precision {request.precision!r}", f"choose one of {', '.join(PRECISIONS)}")
    if target.precisions is not None and request.precision not in target.precisions:
        raise TfeffError(f"{target.name} takes no {request.precision}", f"export --{' or --'.join(target.precisions)}")
    io_of(request, target)
    if request.with_nms and target.no_nms:
        raise TfeffError(
            f"--with-nms: {target.name} {target.no_nms}",
            "leave it out, boxes are made of the heads by the record's numbers; or export for litert",
        )
    check_compiler(request.compiler, target)
    measuring.parse_choice(request.method, request.ranges)
    orchestrate.check_quantizer(request)
    check_allow_float(request, target)
    if request.max_drop is not None and request.dataset is None:
        raise TfeffError("--max-drop: there is nothing to compare on", "give --dataset with labelled images")
    if request.max_latency_ms is not None and not request.devices:
        raise TfeffError("--max-latency-ms: nothing is timed", "give --on DEVICE")
    _check_output(request, target, path)
    if request.calibration is not None:
        check_source(request.calibration)
    if request.dataset is not None:
        from tfeff.data import open_dataset

        open_dataset(request.dataset, "test", labelled=False)  # whether it must be labelled, the model's tasks say
    on_device.check_binary(request)
    words = {device: "--on" for device in request.devices} | ({request.tune: "--tune"} if request.tune else {})
    for device, word in words.items():
        on_device.check_device(device, word, request.benchmark_binary)


def check_space_for(model: Model, path: Path) -> None:
    """Raises TfeffError where the disk of `path` has no room for a Keras model's files: as it is and rewritten for the
    converter, the float file, and as much again for the others."""
    if model.is_keras:
        check_space(path.parent, _COPIES * 4 * int(model.keras.count_params()), f"the files of {model.network}")


def check_memory_for(model: Model) -> None:
    """Raises TfeffError where there is no memory for the export of a Keras model: for the converter's process, and for
    the weights as many times as they were seen to be held at once."""
    if model.is_keras:
        weights = 4 * int(model.keras.count_params())
        check_memory(_CONVERTER_BYTES + _HELD * weights, f"the export of {model.network}")


def check_allow_float(request: Request, target: Target) -> None:
    """Raises TfeffError for `--allow-float` where nothing is in int8, or nothing can be in float."""
    if request.allow_float and request.precision != "int8":
        raise TfeffError(f"--allow-float: means nothing for {request.precision}", "leave it out, or export --int8")
    if request.allow_float and target.whole:
        raise TfeffError(f"--allow-float: {target.name} takes no float operation", "leave it out, or choose a --target")


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


def io_of(request: Request, target: Target) -> str:
    """The dtype of quantized inputs and outputs; raises TfeffError for one that the precision does not have."""
    return check_io(PRECISIONS[request.precision], request.io or target.io)


def _check_output(request: Request, target: Target, path: Path) -> None:
    others = [compiled_path(path, target.compiled_suffix)] if target.compiled_suffix else []
    others += [failed_path(path)] if request.keep_failed else []
    for existing in (path, record_path(path), twin_path(path), *others):
        if os.path.lexists(existing) and not request.force:
            raise TfeffError(f"{existing}: exists already", "give --force to replace it, or another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise TfeffError(f"{path.parent}: cannot be written ({error.strerror})", "choose another --out") from None

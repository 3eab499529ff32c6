"""Timing by `tfeff.bench` on the devices of a request, phones among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfeff.artifact import check_tflite
from tfeff.data import InputPort
from tfeff.errors import TfeffError
from tfeff.export.context import ExportContext
from tfeff.export.placing import twin_path
from tfeff.export.request import Request
from tfeff.record.schema import Latency

if TYPE_CHECKING:
    from tfeff.bench import Outcome


@dataclass(frozen=True)
class Timing:
    """What an artifact was timed at.

    Attributes:
        bench: what `bench` said of the file and its twin; None where nothing was timed.
        entries: of the artifact's record.
    """

    bench: "Outcome | None" = None
    entries: list[Latency] = field(default_factory=list)


def check_device(device: str, word: str, binary: str | None = None) -> None:
    """Raises TfeffError where a device is not there, is not fit for use, or tells no time: before minutes are spent.

    Args:
        device: as `tfeff bench --on` takes it.
        word: the option that named it, for errors.
        binary: path of a phone's benchmark tool.
    """
    from tfeff.bench.devices import find_device

    found = find_device(device)
    if found.counts:
        raise TfeffError(
            f"{word} {device}: counts instructions and tells no time", "leave it to `tfeff bench`, which shows them"
        )
    found.check(binary)


def check_binary(request: Request) -> None:
    """Raises TfeffError for a benchmark tool without a phone to run on, or one that is not there."""
    if request.benchmark_binary is None:
        return
    if not any(_is_phone(device) for device in (*request.devices, request.tune or "")):
        raise TfeffError("--benchmark-binary: is for a phone", "say --on adb too, or leave it out")
    if "://" not in request.benchmark_binary and not Path(request.benchmark_binary).is_file():
        raise TfeffError(f"{request.benchmark_binary}: no such file", "give a benchmark_model for the phone")


def time_artifact(context: ExportContext, file: Path, twin: Path) -> Timing:
    """Times the file and its twin against each other, where the request says where."""
    request = context.request
    if not request.devices:
        return Timing()
    from tfeff.bench import latency_entry, ratio_to_float

    bench = time_files(
        [twin, file], request.devices, request,
        lambda done, total: context.progress("timing", done, total), context.model.inputs,
    )  # fmt: skip
    # By the file: of a float32 export the twin has the same bytes.
    own = [result for result in bench.results if result.file == str(file) and result.times is not None]
    pairs = bench.results, bench.ratios, check_tflite(twin)
    entries = [latency_entry(result, ratio_to_float(result, *pairs)) for result in own]
    # They are timed where they were made.
    return Timing(_renamed(bench, {str(file): str(context.path), str(twin): str(twin_path(context.path))}), entries)


def time_files(
    files: Sequence[Path],
    devices: Sequence[str],
    request: Request,
    progress: Callable[[float, float], None] | None = None,
    inputs: Sequence[InputPort] = (),
    max_seconds: float | None = None,
) -> "Outcome":
    """`bench` of files against the first, threads and seed as requested.

    Args:
        inputs: of the files, which a phone then gets a real image for; random values without.
        max_seconds: on each device; None is the default of `bench`.
    """
    from tfeff.bench import Settings, bench

    settings = Settings(threads=request.threads, seed=request.seed)
    if max_seconds is not None:
        settings = replace(settings, max_seconds=max_seconds)
    phone = None
    if any(map(_is_phone, devices)):
        from tfeff.bench.adb.options import PhoneOptions

        phone = PhoneOptions(request.benchmark_binary, inputs=_real_inputs(files, inputs, request.seed))
    return bench(files, devices, settings, phone=phone, progress=progress)


def void_answers(bench: "Outcome | None") -> list[str]:
    """One line for each file that a device computed wrongly."""
    return [f"{one.device}: {one.name}: {one.void}" for one in (bench.results if bench else []) if one.void]


def _renamed(bench: "Outcome", names: dict[str, str]) -> "Outcome":
    results = [replace(result, file=names[result.file]) for result in bench.results]
    ratios = [replace(ratio, a=names[ratio.a], b=names[ratio.b]) for ratio in bench.ratios]
    return replace(bench, results=results, ratios=ratios)


def _is_phone(device: str) -> bool:
    return device.partition(":")[0] == "adb"


def _real_inputs(files: Sequence[Path], inputs: Sequence[InputPort], seed: int) -> dict[str, dict[str, np.ndarray]]:
    """By sha256 of the file, then by input; none where the model takes anything but one image."""
    from tfeff.compare import real_input

    found = {check_tflite(file): real_input(file, inputs, seed) for file in files if inputs}
    return {sha256: values for sha256, values in found.items() if values is not None}

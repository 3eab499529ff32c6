"""Timing by `tfeff.bench` on the devices of a request, phones among them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfeff.errors import TfeffError


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


def check_binary(request) -> None:
    """Raises TfeffError for a benchmark tool without a phone to run on, or one that is not there."""
    if request.benchmark_binary is None:
        return
    if not any(_is_phone(device) for device in (*request.devices, request.tune or "")):
        raise TfeffError("--benchmark-binary: is for a phone", "say --on adb too, or leave it out")
    if not Path(request.benchmark_binary).is_file():
        raise TfeffError(f"{request.benchmark_binary}: no such file", "give a benchmark_model for the phone")


def time_files(
    files: Sequence[Path],
    devices: Sequence[str],
    request,
    progress: Callable[[float, float], None] | None = None,
    preprocessing=None,
    **options: Any,
) -> dict[str, Any]:
    """`bench` of files against the first, threads and seed as requested.

    Args:
        preprocessing: of the files, which a phone then gets a real image for; random values without.
        options: others of `bench`.
    """
    from tfeff.bench import bench

    phone = None
    if any(map(_is_phone, devices)):
        from tfeff.bench.adb.options import PhoneOptions

        phone = PhoneOptions(request.benchmark_binary, inputs=_inputs(files, preprocessing, request.seed))
    return bench(files, devices, threads=request.threads, seed=request.seed, progress=progress, phone=phone, **options)


def void_answers(timing: dict[str, Any] | None) -> list[str]:
    """One line for each file that a device computed wrongly."""
    results = timing["results"] if timing else []
    return [f"{one['device']}: {Path(one['file']).name}: {one['void']}" for one in results if "void" in one]


def _is_phone(device: str) -> bool:
    return device.partition(":")[0] == "adb"


def _inputs(files, preprocessing, seed):
    if preprocessing is None:
        return {}
    from tfeff.artifact import check_tflite
    from tfeff.compare import real_input

    found = {check_tflite(file): real_input(file, preprocessing, seed) for file in files}
    return {sha256: values for sha256, values in found.items() if values is not None}

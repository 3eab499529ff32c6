"""What `bench` and `profile` ask and tell of a phone."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output
from tfeff.errors import GateFailed, TfeffError

if TYPE_CHECKING:
    import numpy as np

    from tfeff.artifact import Artifact
    from tfeff.bench.adb.options import PhoneOptions
    from tfeff.bench.outcome import Outcome, Ratio, Result
    from tfeff.bench.settings import Settings

DELEGATES = ("xnnpack", "gpu", "nnapi")  # a phone's


class Counts(click.ParamType):
    """One or more positive numbers with commas between."""

    name = "integers"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            counts = tuple(dict.fromkeys(int(one) for one in str(value).split(",")))
        except ValueError:
            counts = (0,)
        if min(counts) < 1:
            self.fail(f"{value!r} is no number of 1 or more, nor several such as 1,2,4", param, context)
        return counts


def phone_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that only phones have; they reach the command as `phone`, keyword arguments of
    `PhoneOptions`, empty where none was given."""

    @click.option(
        "--benchmark-binary",
        metavar="PATH",
        help="Phone: its benchmark_model; or https://...#sha256=HEX.",
    )
    @click.option(
        "--delegate",
        metavar="NAME",
        help="Phone: xnnpack, gpu, nnapi. Elsewhere: edgetpu[:DEVICE] or LIBRARY[,KEY=VALUE] of the device.",
    )
    @click.option("--require-full-delegation", is_flag=True, help="Phone: a gate; the delegate must take all of it.")
    @click.option("--cores", type=click.Choice(["auto", "big", "middle", "little", "all"]), help="Phone: cores to use.")
    @click.option(
        "--cool-down", type=click.FloatRange(0), metavar="SECONDS", help="Phone: longest wait before a block."
    )
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        names = {name: name for name in ("benchmark_binary", "delegate", "require_full_delegation", "cores")}
        names["cool_down"] = "cool_down_s"
        given = {to: kwargs.pop(name) for name, to in names.items()}
        given = {name: value for name, value in given.items() if value is not None and value is not False}
        return function(*args, phone=given, **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    own: Any = wrapped  # click keeps the options of a function on it
    own.__click_params__ = [*own.__click_params__, *getattr(function, "__click_params__", [])]
    return wrapped


def is_phone(device: str) -> bool:
    """Whether a device is one that adb reaches."""
    return device.partition(":")[0] == "adb"


def take_library(phone: dict[str, Any]) -> str | None:
    """Takes a delegate that is no phone's out of the options: a library for the runtime to load."""
    return phone.pop("delegate") if phone.get("delegate") not in (None, *DELEGATES) else None


def prepared(
    phone: dict[str, Any],
    files: Iterable[str | Path],
    devices: Iterable[str],
    settings: "Settings",
    app: bool = False,
) -> "PhoneOptions | None":
    """`PhoneOptions` with a real input for every file whose record tells how an image becomes one; None where no phone
    is asked for.

    Args:
        phone: the options that `phone_options` took.
        app: whether the files are timed in the demo app.
    """
    if phone.get("delegate") not in (None, *DELEGATES):
        raise TfeffError(f"--delegate {phone['delegate']}: is no phone's", f"say {', '.join(DELEGATES)}")
    if not any(map(is_phone, devices)):
        if phone or app:
            option = next(iter(phone), "app").removesuffix("_s").replace("_", "-")
            raise TfeffError(f"--{option}: is for a phone", "say --on adb too, or leave it out")
        return None
    if not settings.xnnpack and phone.get("delegate") == "xnnpack":
        raise TfeffError("--delegate xnnpack and --no-xnnpack", "say one of the two")
    from tfeff.artifact import open_artifact
    from tfeff.bench.adb.options import PhoneOptions

    if app:
        return _in_app(phone, files)
    inputs = {}
    for artifact in map(open_artifact, files):
        values = _real_input(artifact, settings.seed)
        if values is not None:
            inputs[artifact.sha256] = values
    return PhoneOptions(**phone, inputs=inputs)


def _in_app(phone: dict[str, Any], files: Iterable[str | Path]) -> "PhoneOptions":
    """`PhoneOptions` for the demo app: beside each file its record and self-test, whose picture is the input."""
    from tfeff.artifact import open_artifact
    from tfeff.bench.adb.options import AppFiles, PhoneOptions
    from tfeff.demo import APPLICATION, make_self_test, write_app
    from tfeff.record import encode

    unfit = {"benchmark_binary", "require_full_delegation", "cores"} & phone.keys()
    unfit |= {"delegate"} if phone.get("delegate") not in (None, "xnnpack") else set()
    if unfit:
        raise TfeffError(f"--{sorted(unfit)[0].replace('_', '-')} beside --app", "the app has threads and XNNPACK only")
    models, inputs = {}, {}
    for artifact in map(open_artifact, files):
        test = make_self_test(artifact, None)
        inputs[artifact.sha256] = _self_test_input(artifact, test.expected)
        models[artifact.sha256] = {
            ".json": encode(artifact.record) if artifact.record is not None else b"",  # a self-test needs one
            ".selftest.json": test.expected,
            ".selftest.png": test.picture,
        }
    return PhoneOptions(**phone, inputs=inputs, app=AppFiles(APPLICATION, write_app, models))


def _self_test_input(artifact: "Artifact", expected: bytes) -> "dict[str, np.ndarray]":
    """The image that the self-test gives to the file, by the name that the runtime has for its input."""
    import numpy as np

    from tfeff.compare import Runner

    (port,) = Runner(artifact.path).inputs
    data = bytes.fromhex(json.loads(expected)["input_hex"])
    return {port.name: np.frombuffer(data, port.dtype).reshape(port.shape)}


def _real_input(artifact: "Artifact", seed: int) -> "dict[str, np.ndarray] | None":
    """A bundled photograph as the file takes it, by input; None where no record tells how an image becomes it."""
    if artifact.record is None:
        return None
    from tfeff.compare import real_input
    from tfeff.data.feeds import record_ports

    return real_input(artifact.path, record_ports(artifact.record.inputs), seed)


def phone_table(out: Output, results: "Sequence[Result]", ratios: "dict[str, Ratio]") -> None:
    """What a phone told with one number of threads; `ratios` by their file."""
    from tfeff.bench.outcome import PhoneTimes, kernel_words, short_names

    first, rows = results[0], []
    title = f"{first.device}: {first.environment['model']} ({first.environment['cpu']}), {first.runtime} "
    title += f"{first.version}, {first.threads} thread{'s' if first.threads > 1 else ''}"
    if isinstance(first.times, PhoneTimes) and first.times.pinned:
        title += f" on {first.times.core_class} cores"
    for name, one in zip(short_names(one.file for one in results), results, strict=True):
        answer = one.answer.words() if one.answer is not None else ""
        rows.append([name, *_times(one), kernel_words(one.kernels), answer, versus(ratios.get(one.file))])
    columns = ["file", "median ms", "95 %", "p95 ms", "init ms", "first ms", "peak MB", "runs", "kernels", "answer"]
    if any(isinstance(one.times, PhoneTimes) and one.times.preprocessing_ms is not None for one in results):
        columns[6] = "pre + post ms"  # in the demo app
    out.table(title, [*columns, "time / first"], rows, words=("answer",))


def _times(one: "Result") -> list[str]:
    from tfeff.bench.outcome import PhoneTimes

    memory, times = one.memory_mb or {}, one.times
    last = figure(memory.get("peak") or memory.get("overall"))
    if not isinstance(times, PhoneTimes):
        return ["void", "", "", "", "", last, ""]
    if times.preprocessing_ms is not None:  # the demo app, which tells no memory
        last = f"{figure(times.preprocessing_ms)} + {figure(times.postprocessing_ms)}"
    low, high = times.ci95_ms
    shown = [times.median_ms, times.p95_ms, times.init_ms, times.first_ms]
    median, *others = map(figure, shown)
    return [median, f"{figure(low)} .. {figure(high)}", *others, last, str(times.runs)]


def refuse_wrong(outcome: "Outcome") -> None:
    """Ends the command as a missed gate where a phone computed something else than this machine."""
    wrong = [f"{one.device}: {one.file}: {one.void}" for one in outcome.results if one.void]
    if wrong:
        raise GateFailed(
            "; ".join(wrong), "another build of the tool or another --delegate; its latency was not recorded"
        )


def versus(ratio: "Ratio | None") -> str:
    """A ratio with its interval and verdict; empty without one."""
    if ratio is None:
        return ""
    low, high = ratio.ci95
    return f"{ratio.ratio:.3f} ({low:.3f} .. {high:.3f}) {ratio.verdict}"


def figure(value: float | None) -> str:
    """Four figures: 0.004123, 0.4871, 12.35, 1235; a dash where nothing is known."""
    return "-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}"

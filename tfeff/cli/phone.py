"""What `bench` and `profile` ask and tell of a phone."""

import json

import click

from tfeff.errors import GateFailed, TfeffError

DELEGATES = ("xnnpack", "gpu", "nnapi")  # a phone's


class Counts(click.ParamType):
    """One or more positive numbers with commas between."""

    name = "integers"

    def convert(self, value, param, context):
        if isinstance(value, tuple):
            return value
        try:
            counts = tuple(dict.fromkeys(int(one) for one in str(value).split(",")))
        except ValueError:
            counts = (0,)
        if min(counts) < 1:
            self.fail(f"{value!r} is no number of 1 or more, nor several such as 1,2,4", param, context)
        return counts


def phone_options(function):
    """Adds the options that only phones have; they reach the command as `phone`, keyword arguments of
    `PhoneOptions`, empty where none was given."""

    @click.option(
        "--benchmark-binary", metavar="PATH", help="Phone: this benchmark_model; else TensorFlow's is fetched."
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
    def wrapped(*args, **kwargs):
        names = {name: name for name in ("benchmark_binary", "delegate", "require_full_delegation", "cores")}
        names["cool_down"] = "cool_down_s"
        given = {to: kwargs.pop(name) for name, to in names.items()}
        given = {name: value for name, value in given.items() if value is not None and value is not False}
        return function(*args, phone=given, **kwargs)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__click_params__ = [*wrapped.__click_params__, *getattr(function, "__click_params__", [])]
    return wrapped


def is_phone(device: str) -> bool:
    return device.partition(":")[0] == "adb"


def take_library(phone: dict) -> str | None:
    """Takes a delegate that is no phone's out of the options: a library for the runtime to load."""
    return phone.pop("delegate") if phone.get("delegate") not in (None, *DELEGATES) else None


def prepared(phone: dict, files, devices, xnnpack: bool, seed: int, app: bool = False):
    """`PhoneOptions` with a real input for every file that has a record; None where no phone is asked for.

    Args:
        app: whether the files are timed in the demo app.
    """
    if phone.get("delegate") not in (None, *DELEGATES):
        raise TfeffError(f"--delegate {phone['delegate']}: is no phone's", f"say {', '.join(DELEGATES)}")
    if not any(map(is_phone, devices)):
        if phone or app:
            option = next(iter(phone), "app").removesuffix("_s").replace("_", "-")
            raise TfeffError(f"--{option}: is for a phone", "say --on adb too, or leave it out")
        return None
    if not xnnpack and phone.get("delegate") == "xnnpack":
        raise TfeffError("--delegate xnnpack and --no-xnnpack", "say one of the two")
    from tfeff.artifact import open_artifact
    from tfeff.bench.adb.options import PhoneOptions

    if app:
        return _in_app(phone, files)
    inputs = {}
    for artifact in map(open_artifact, files):
        values = _real_input(artifact, seed)
        if values is not None:
            inputs[artifact.sha256] = values
    return PhoneOptions(**phone, inputs=inputs)


def _in_app(phone: dict, files):
    """`PhoneOptions` for the demo app: beside each file its record and self-test, whose picture is the input."""
    import numpy as np

    from tfeff.artifact import open_artifact, record_path
    from tfeff.bench.adb.options import AppFiles, PhoneOptions
    from tfeff.demo import APPLICATION, make_self_test, write_app

    unfit = {"benchmark_binary", "require_full_delegation", "cores"} & phone.keys()
    unfit |= {"delegate"} if phone.get("delegate") not in (None, "xnnpack") else set()
    if unfit:
        raise TfeffError(f"--{sorted(unfit)[0].replace('_', '-')} beside --app", "the app has threads and XNNPACK only")
    models, inputs = {}, {}
    for artifact in map(open_artifact, files):
        test = make_self_test(artifact, None)
        expected, door = json.loads(test.expected), artifact.record["input"]
        values = np.frombuffer(bytes.fromhex(expected["input_hex"]), door["dtype"])
        inputs[artifact.sha256] = values.reshape(door["shape"])
        record = record_path(artifact.path).read_bytes()
        models[artifact.sha256] = {
            ".json": record, ".selftest.json": test.expected, ".selftest.png": test.picture,
        }  # fmt: skip
    return PhoneOptions(**phone, inputs=inputs, app=AppFiles(APPLICATION, write_app, models))


def _real_input(artifact, seed):
    """A bundled photograph as the file takes it, shape (1, h, w, c); None where no record tells its preprocessing."""
    recorded = (artifact.record or {}).get("preprocessing")
    if not recorded:
        return None
    from tfeff.compare import real_input
    from tfeff.data import Preprocessing

    return real_input(artifact.path, Preprocessing.from_dict(recorded), seed)


def phone_table(out, outcome, device):
    """A table for each number of threads."""
    from tfeff.bench import kernel_words
    from tfeff.bench.protocol import short_names

    mine = [one for one in outcome["results"] if one["device"] == device]
    names = dict(zip([one["file"] for one in mine], short_names([one["file"] for one in mine]), strict=True))
    for threads in dict.fromkeys(one["threads"] for one in mine):
        results = [one for one in mine if one["threads"] == threads]
        told = [one for one in outcome["ratios"] if (one["device"], one.get("threads")) == (device, threads)]
        ratios = {one["a"]: one for one in told}
        first, rows = results[0], []
        title = f"{device}: {first['environment']['model']} ({first['environment']['cpu']}), {first['runtime']} "
        title += f"{first['version']}, {threads} thread{'s' if threads > 1 else ''}"
        if first.get("pinned"):
            title += f" on {first['core_class']} cores"
        for one in results:
            row = [names[one["file"]], *_times(one), kernel_words(one["kernels"]), answer_words(one["answer"])]
            ratio = ratios.get(one["file"])
            rows.append([*row, _versus(ratio) if ratio else ""])
        columns = ["file", "median ms", "95 %", "p95 ms", "init ms", "first ms", "peak MB", "runs", "kernels", "answer"]
        if any("preprocessing_ms" in one for one in results):  # in the demo app
            columns[6] = "pre + post ms"
        out.table(title, [*columns, "time / first"], rows, words=("answer",))


def _times(one):
    peak = one["memory_mb"]["peak"] or one["memory_mb"]["overall"]
    if "void" in one:
        return ["void", "", "", "", "", _figure(peak), ""]
    low, high = one["ci95_ms"]
    figures = [one["median_ms"], one["p95_ms"], one["init_ms"], one["first_ms"]]
    median, *others = map(_figure, figures)
    last = _figure(peak)
    if "preprocessing_ms" in one:  # the demo app, which tells no memory
        last = f"{_figure(one['preprocessing_ms'])} + {_figure(one['postprocessing_ms'])}"
    return [median, f"{_figure(low)} .. {_figure(high)}", *others, last, str(one["runs"])]


def answer_words(answer) -> str:
    """Whether a phone's answer is this machine's, for people."""
    if answer["ok"] is None:
        return "not compared"
    if answer["equal"]:
        return "equal bytes"
    if not answer["ok"]:
        return "WRONG"
    if answer["max_steps"] is not None:
        return f"within {answer['max_steps']} steps"
    return f"within {answer['max_error']:.1g}"


def refuse_wrong(outcome) -> None:
    """Ends the command as a missed gate where a phone computed something else than this machine."""
    wrong = [f"{one['device']}: {one['file']}: {one['void']}" for one in outcome["results"] if "void" in one]
    if wrong:
        raise GateFailed(
            "; ".join(wrong), "another build of the tool or another --delegate; its latency was not recorded"
        )


def _versus(ratio):
    low, high = ratio["ci95"]
    return f"{ratio['ratio']:.3f} ({low:.3f} .. {high:.3f}) {ratio['verdict']}"


def _figure(value):
    return "-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}"

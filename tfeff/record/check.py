"""Do the figures of a record agree with each other and with its file?

A record is a file that anybody may have edited.
"""

from collections.abc import Iterator
from itertools import pairwise

from tfeff.record.base import Interval
from tfeff.record.schema import Accuracy, Group, Latency, Record

_SUM_TOLERANCE = 1e-6  # of differences and percentages that were rounded to decimal fractions


class Contradiction(ValueError):
    """Where a record contradicts itself."""


def check_consistent(record: Record) -> None:
    """Raises Contradiction for figures of another file, and for figures that contradict each other."""
    _check_names(record)
    for where, interval in _intervals(record):
        if interval[0] > interval[1]:
            raise Contradiction(f"{where}: is {list(interval)}, its low end lies above its high one")
    for number, accuracy in enumerate(record.accuracy):
        _same_file(f"accuracy[{number}].quantized_sha256", accuracy.quantized_sha256, record.sha256)
        _check_accuracy(f"accuracy[{number}]", accuracy)
    for number, entry in enumerate(record.latency):
        _check_latency(f"latency[{number}]", entry, record)
    if record.debug is not None:
        _same_file("debug.sha256", record.debug.sha256, record.sha256)
    if (ops := record.ops) is not None and (ops.int8 or 0) + len(ops.float_) > ops.total:
        raise Contradiction(f"ops: names {(ops.int8 or 0) + len(ops.float_)} operations of {ops.total}")
    if (check := record.check) is not None and check.mapped > check.total:
        raise Contradiction(f"check: maps {check.mapped} operations of {check.total}")


def _check_names(record: Record) -> None:
    """No port twice, and no figure or task of an output that the file does not have."""
    for side in ("inputs", "outputs", "heads"):
        names = sorted(port.name for port in getattr(record, side))
        if twice := [name for name, other in pairwise(names) if name == other]:
            raise Contradiction(f"{side}: two are called {twice[0]!r}")
    outputs = {port.name for port in record.outputs}
    of_outputs = [(f"tasks[{number}].outputs", task.outputs) for number, task in enumerate(record.tasks)]
    of_outputs += [(f"accuracy[{number}].outputs", each.outputs) for number, each in enumerate(record.accuracy)]
    known = outputs | {port.name for port in record.heads}
    named = [(*each, outputs) for each in of_outputs]
    named += [(f"ports[{number}].name", [each.name], known) for number, each in enumerate(record.ports)]
    for where, names, there in named:
        if outputs and (unknown := [name for name in names if name not in there]):
            raise Contradiction(f"{where}: names {unknown[0]!r}, which is none of the file's outputs")


def _intervals(record: Record) -> Iterator[tuple[str, Interval]]:
    """All pairs whose first must not lie above the second, and where they stand."""
    for number, accuracy in enumerate(record.accuracy):
        yield f"accuracy[{number}].ci95", accuracy.ci95
    for number, entry in enumerate(record.latency):
        yield f"latency[{number}].ci95_ms", entry.ci95_ms
        if entry.of_float is not None:
            yield f"latency[{number}].of_float.ci95", entry.of_float.ci95
    for number, layer in enumerate(record.debug.layers if record.debug else ()):
        for name in ("range", "seen"):
            if (pair := getattr(layer, name)) is not None:
                yield f"debug.layers[{number}].{name}", pair
    for number, place in enumerate(record.tuning.places if record.tuning else ()):
        for name, form in place.forms.items():
            yield f"tuning.places[{number}].forms.{name}.ci95_ms", form.ci95_ms
    kept = record.quantization.kept_float if record.quantization else None
    for number, ratio in enumerate(kept.latency if kept else ()):
        yield f"quantization.kept_float.latency[{number}].ci95", ratio.ci95


def _check_accuracy(where: str, accuracy: Accuracy) -> None:
    parts: list[tuple[str, Accuracy | Group]] = [
        (where, accuracy),
        *((f"{where}.groups[{n}]", row) for n, row in enumerate(accuracy.groups)),
    ]
    parts += [(f"{where}.worst[{n}]", row) for n, row in enumerate(accuracy.worst)]
    for name, part in parts:
        difference = part.quantized - part.float_value
        if abs(difference - part.delta) > _SUM_TOLERANCE * max(1.0, abs(part.quantized), abs(part.float_value)):
            raise Contradiction(f"{name}.delta: is {part.delta:g}, the two figures differ by {difference:g}")
        for value in (part.float_value, part.quantized):
            if accuracy.unit == "%" and not 0 <= value <= 100:
                raise Contradiction(f"{name}: has {value:g} %")
    if accuracy.is_share and accuracy.groups:
        _check_sum(where, accuracy)


def _check_sum(where: str, accuracy: Accuracy) -> None:
    if sum(row.samples for row in accuracy.groups) != accuracy.samples:
        raise Contradiction(f"{where}.groups: has other samples than {where}.samples")
    for name in ("float_value", "quantized"):
        right = sum(getattr(row, name) * row.samples for row in accuracy.groups) / accuracy.samples
        if abs(right - getattr(accuracy, name)) > _SUM_TOLERANCE * 100:
            raise Contradiction(
                f"{where}.groups: gives {right:.4f} for {name.removesuffix('_value')}, the record says "
                f"{getattr(accuracy, name):.4f}"
            )


def _check_latency(where: str, entry: Latency, record: Record) -> None:
    _same_file(f"{where}.sha256", entry.sha256, record.sha256)
    low, high = entry.ci95_ms
    if not low <= entry.median_ms <= high:
        raise Contradiction(f"{where}.median_ms: is {entry.median_ms:g}, its interval is [{low:g}, {high:g}]")
    if entry.quantiles_ms and sorted(entry.quantiles_ms) != entry.quantiles_ms:
        raise Contradiction(f"{where}.quantiles_ms: do not rise")
    if (found := entry.of_float) is None:
        return
    twin = record.float_twin.sha256 if record.float_twin else None
    if found.sha256 != twin:
        named = f"the record names {twin[:12]}" if twin else "the record names none"
        raise Contradiction(f"{where}.of_float.sha256: is {found.sha256[:12]}, not the float twin: {named}")
    low, high = found.ci95
    if not low <= found.ratio <= high:
        raise Contradiction(f"{where}.of_float.ratio: is {found.ratio:g}, its interval is [{low:g}, {high:g}]")
    if not {"faster": high < 1, "slower": low > 1, "no difference": True}[found.verdict]:
        raise Contradiction(f"{where}.of_float.verdict: is {found.verdict!r}, its interval is [{low:g}, {high:g}]")


def _same_file(where: str, sha256: str, own: str) -> None:
    if sha256 != own:
        raise Contradiction(f"{where}: is {sha256[:12]}, of another file than the record's {own[:12]}")

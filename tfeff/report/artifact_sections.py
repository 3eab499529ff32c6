"""What a report says of one artifact."""

import json
import shlex
from typing import Any

from tfeff.record import to_dict
from tfeff.record.schema import Port, TaskSpec
from tfeff.report.accuracy_sections import accuracy_sections
from tfeff.report.blocks import Commands, Facts, Measured, Section, Words
from tfeff.report.layer_sections import layer_sections
from tfeff.report.making_sections import operations, rewrites, target
from tfeff.report.pictures import pictures_section
from tfeff.report.reported import Reported
from tfeff.report.text import clean, count, plural, short, size


def artifact_section(item: Reported, number: int, *, folded: bool = False, hints: bool = True) -> Section:
    """All that is known of one artifact.

    Args:
        number: of the artifact in the report.
        folded: whether the reader has to open it.
        hints: see `layer_charts.errors`.
    """
    parts = [
        _what(item), *accuracy_sections(item), pictures_section(item), *layer_sections(item, hints),
        operations(item), target(item), rewrites(item), _calibration(item), _reproduce(item),
    ]  # fmt: skip
    return Section(f"{number} {item.name}", sections=[part for part in parts if part], folded=folded)


def _what(item):
    record, gates = item.record, item.record.gates
    rows = [
        ("network", short(record.network or "not said")),
        ("preset", short(record.preset or "none")),
        ("target", short(record.target or "not said")),
        ("precision", short(record.precision or "not said")),
    ]
    for side, ports in (("input", record.inputs), ("output", record.outputs), ("head", record.heads)):
        rows += [(side if len(ports) == 1 else f"{side} {n}", _port(port)) for n, port in enumerate(ports, 1)]
    rows += [("task", _task(spec)) for spec in record.tasks]
    if record.parameters is not None:
        rows.append(("parameters", count(record.parameters)))
    if record.macs is not None:
        rows.append(("multiply-adds, one sample", count(record.macs)))
    rows.append(("file", f"{short(record.file)}, {size(record.size_bytes)}"))
    if twin := record.float_twin:
        near = twin.relative_error
        same = "" if near is None else f"; equals the model within {near:.1e} of the largest output"
        rows.append(("float twin", f"{short(twin.file)}, {size(twin.size_bytes)}{same}"))
    for key, limit in (("max_drop", gates.max_drop), ("max_latency_ms", gates.max_latency_ms)):
        if limit is not None:
            rows.append((f"gate {key}", f"{limit:g}, {'failed' if gates.failed else 'met'}"))
    rows += [(key, _compressed(part)) for key in ("pruning", "clustering") if (part := getattr(record, key))]
    blocks: list[Any] = [Facts(rows)]
    blocks += [Words(short(note, 600), warning=True) for note in record.notes]
    return Section("What it is", [*blocks, Measured([("file", item.sha256)])])


def _port(port: Port) -> str:
    shape = "x".join(f"{size}" for size in port.shape)
    grid = f", scale {port.scale:.6g}, zero point {port.zero_point}" if port.scale else ""
    return short(f"{port.name} {shape} {port.dtype}{grid}".strip())


def _task(spec: TaskSpec) -> str:
    """`classification (multi-label) of logits, 10 labels`."""
    kind, labels = spec.decode.get("kind"), ""
    if spec.labels:
        labels = f", {plural(len(spec.labels), 'label')}"
    return short(f"{spec.name}{f' ({kind})' if isinstance(kind, str) else ''} of {', '.join(spec.outputs)}{labels}")


def _compressed(part):
    known = {k: v for k, v in part.items() if isinstance(v, int | float | str) and not isinstance(v, bool)}
    return short("; ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items()) or "see the record", 300)


def _calibration(item):
    used, quantization = item.record.calibration, item.record.quantization
    if used is None and quantization is None:
        return None
    rows = []
    if used is not None:
        images = "" if used.used is None else f"{used.used:,} of "
        rows.append(("samples", f"{images}{short(used.source)}"))
        rows.append(("ranges by", short(used.method or "not said")))
        if used.tried:
            criterion = f" by {used.criterion}" if used.criterion else ""
            ways = [f"{each.method}{', biases corrected' * bool(each.bias_correction)}" for each in used.tried]
            held = f", on {plural(used.held_out, 'sample')} held out" if used.held_out else ""
            rows.append(("chosen among", short(f"{'; '.join(ways)}{criterion}{held}", 300)))
        if used.left_out:
            rows.append(("left out", plural(len(used.left_out), "sample")))
    if quantization is not None and quantization.quantizer:
        scales = "one scale a layer" if quantization.per_tensor else "one scale a channel"
        rows.append(("quantizer", f"{short(quantization.quantizer, 60)}, weights with {scales}"))
    if quantization is not None and (proof := quantization.simulation) and proof.units:
        alike = proof.units - len(proof.beyond)
        rows.append(("simulation", f"{alike} of {proof.units} units of the file equal it within 1 step of int8"))
    blocks: list[Any] = [Facts(rows)]
    for each in used.findings if used is not None else ():
        said = f"{short(each.severity, 20)}: {short(each.text, 600)}"
        blocks.append(Words(said, warning=each.severity != "note"))
    return Section("Calibration and quantization", [*blocks, Measured([("file", item.sha256)])])


def _reproduce(item):
    record = item.record
    lines = [clean(record.command, "\n\t")] if record.command else []
    lines += [item.command("compare")] if record.accuracy or record.ports else []
    lines += [item.command("bench")] if record.latency else []
    lines += [item.command("debug", "--record")] if record.debug else []
    lines.append(shlex.join(["tfeff", "report", "--verify", item.path.name, "--out", "report.html"]))
    blocks: list[Any] = [Commands(lines)]
    if record.versions:
        blocks.append(Facts([(short(k, 60), short(v, 60)) for k, v in record.versions.items()]))
    if images := record.images:
        names = ["preprocessing" if len(images) == 1 else f"preprocessing of {short(port.name, 60)}" for port in images]
        blocks.append(
            Facts([(n, short(json.dumps(to_dict(p.preprocessing)), 600)) for n, p in zip(names, images, strict=True)])
        )
    return Section("How to reproduce it", [*blocks, Measured([("file", item.sha256)])])

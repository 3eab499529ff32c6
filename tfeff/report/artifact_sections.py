"""What a report says of one artifact."""

import json
import shlex
from typing import Any

from tfeff.report.blocks import Commands, Facts, Measured, Missing, Section, Table, Words
from tfeff.report.charts import change_bar
from tfeff.report.layer_sections import layer_sections
from tfeff.report.making_sections import operations, rewrites, target
from tfeff.report.subject import Subject
from tfeff.report.text import between, clean, count, decibels, percent, plural, points, short, size

_CLASSES = 25  # rows of the table; `--format json` has all


def artifact_section(subject: Subject, number: int, *, folded: bool = False, hints: bool = True) -> Section:
    """All that is known of one artifact.

    Args:
        number: of the artifact in the report.
        folded: whether the reader has to open it.
        hints: see `layer_charts.errors`.
    """
    parts = [
        _what(subject), _accuracy(subject), _classes(subject), *layer_sections(subject, hints), operations(subject),
        target(subject), rewrites(subject), _calibration(subject), _reproduce(subject),
    ]  # fmt: skip
    return Section(f"{number} {subject.name}", sections=[part for part in parts if part], folded=folded)


def _what(subject):
    record, twin, gates = subject.record, subject.part("float_twin"), subject.part("gates")
    rows = [
        ("network", short(record.get("network") or "not said")),
        ("preset", short(record.get("preset") or "none")),
        ("target", short(record.get("target") or "not said")),
        ("precision", short(record.get("precision") or "not said")),
    ]
    rows += [(side, _door(subject.part(side))) for side in ("input", "output") if subject.part(side)]
    if record.get("parameters") is not None:
        rows.append(("parameters", count(record["parameters"])))
    if record.get("macs") is not None:
        rows.append(("multiply-adds, one image", count(record["macs"])))
    rows.append(("file", f"{short(record['file'])}, {size(record.get('size_bytes'))}"))
    if twin:
        near = twin.get("relative_error")
        same = "" if near is None else f"; equals Keras within {near:.1e} of the largest output"
        rows.append(("float twin", f"{short(twin['file'])}, {size(twin.get('size_bytes'))}{same}"))
    for key in ("max_drop", "max_latency_ms"):
        if gates.get(key) is not None:
            rows.append((f"gate {key}", f"{gates[key]:g}, {'failed' if gates.get('failed') else 'met'}"))
    rows += [(key, _compressed(subject.part(key))) for key in ("pruning", "clustering") if subject.part(key)]
    blocks = [Facts(rows)]
    blocks += [Words(short(note, 600), warning=True) for note in record.get("notes") or ()]
    return Section("What it is", [*blocks, Measured([("file", subject.sha256)])])


def _door(door):
    shape = "x".join(f"{size:g}" for size in door.get("shape") or ())
    grid = ""
    if door.get("scale"):
        grid = f", scale {door['scale']:.6g}, zero point {door.get('zero_point') or 0:g}"
    return short(f"{door.get('name') or ''} {shape} {door['dtype']}{grid}".strip())


def _compressed(part):
    known = {k: v for k, v in part.items() if isinstance(v, int | float | str) and not isinstance(v, bool)}
    return short("; ".join(f"{key.replace('_', ' ')} {value}" for key, value in known.items()) or "see the record", 300)


def _accuracy(subject):
    accuracy = subject.part("accuracy")
    if not accuracy:
        return Section("What int8 cost", [Missing("accuracy against the float twin", subject.command("compare"))])
    rows = [
        ("images", f"{accuracy['samples']:,} of {short(accuracy['dataset'])}"),
        ("float top-1", percent(accuracy["float_top1"])),
        ("quantized top-1", percent(accuracy["quantized_top1"])),
        ("difference", f"{points(accuracy['delta'])} points, 95 % {between(accuracy['ci95'], points)}"),
    ]
    if accuracy.get("mcnemar_p") is not None:
        rows.append(("McNemar's exact p", f"{accuracy['mcnemar_p']:.3g}"))
    if accuracy.get("flips") is not None:
        rows.append(("predictions that changed", percent(accuracy["flips"])))
    if "output_snr_db" in accuracy:
        rows.append(("SNR of the outputs", decibels(accuracy["output_snr_db"])))
    if kept := subject.part("quantization").get("kept_float"):
        said = f"kept none: {kept['refused']}" if kept.get("refused") else ", ".join(kept.get("layers") or ()) or "none"
        rows.append(("layers kept in float", short(said, 600)))
    return Section("What int8 cost", [Facts(rows), _accuracy_files(accuracy)])


def _accuracy_files(accuracy):
    return Measured([("quantized", accuracy["quantized_sha256"]), ("float", accuracy["float_sha256"])])


def _classes(subject):
    accuracy = subject.part("accuracy")
    title = "Float against int8, class by class"
    if not accuracy:
        return None
    whole = accuracy.get("by_class")
    rows = sorted(whole or accuracy.get("worst_classes") or (), key=lambda r: r["quantized_top1"] - r["float_top1"])
    blocks = []
    if not whole:
        said = "Its record names only the classes that lost most." if rows else "Its record names no class that lost."
        blocks.append(Words(said))
    most = max((abs(row["quantized_top1"] - row["float_top1"]) for row in rows), default=0.0)
    cells = []
    for row in rows[:_CLASSES]:
        change = row["quantized_top1"] - row["float_top1"]
        before, after = percent(row["float_top1"]), percent(row["quantized_top1"])
        cells.append(
            [short(row["label"], 80), before, after, points(change), change_bar(change, most), count(row["samples"])]
        )
    if cells:
        columns = ["class", "float top-1", "quantized top-1", "difference, points", "", "images"]
        caption = "Top-1 by class, the largest loss first"
        blocks.append(Table(caption, columns, cells, frozenset(columns[1:4] + columns[5:])))
    if len(rows) > _CLASSES:
        blocks.append(
            Words(f"and {plural(len(rows) - _CLASSES, 'more class').replace('classs', 'classes')} (--format json)")
        )
    if not whole:
        blocks.append(Missing("the other classes", subject.command("compare")))
    return Section(title, [*blocks, _accuracy_files(accuracy)])


def _calibration(subject):
    used, quantization = subject.part("calibration"), subject.part("quantization")
    if not used and not quantization:
        return None
    rows = []
    if used:
        images = "" if used.get("used") is None else f"{used['used']:,} of "
        rows.append(("images", f"{images}{short(used['source'])}"))
        rows.append(("ranges by", short(used.get("method") or "not said")))
        if used.get("left_out"):
            rows.append(("left out", plural(len(used["left_out"]), "image")))
    if quantization.get("quantizer"):
        scales = "one scale a layer" if quantization.get("per_tensor") else "one scale a channel"
        rows.append(("quantizer", f"{short(quantization['quantizer'], 60)}, weights with {scales}"))
    if (proof := quantization.get("simulation")) and proof.get("units"):
        alike = proof["units"] - len(proof.get("beyond") or ())
        rows.append(("simulation", f"{alike} of {proof['units']} units of the file equal it within 1 step of int8"))
    blocks: list[Any] = [Facts(rows)]
    for each in used.get("findings") or ():
        said = f"{short(each['severity'], 20)}: {short(each['text'], 600)}"
        blocks.append(Words(said, warning=each["severity"] != "note"))
    return Section("Calibration and quantization", [*blocks, Measured([("file", subject.sha256)])])


def _reproduce(subject):
    record = subject.record
    lines = [clean(record["command"], "\n\t")] if record.get("command") else []
    lines += [subject.command("compare")] if subject.part("accuracy") else []
    lines += [subject.command("bench")] if subject.part("latency") else []
    lines += [subject.command("debug", "--record")] if subject.part("debug") else []
    lines.append(shlex.join(["tfeff", "report", "--verify", subject.path.name, "--out", "report.html"]))
    blocks: list[Any] = [Commands(lines)]
    if versions := record.get("versions"):
        blocks.append(Facts([(short(k, 60), short(v, 60)) for k, v in versions.items()]))
    if preprocessing := record.get("preprocessing"):
        blocks.append(Facts([("preprocessing", short(json.dumps(preprocessing), 600))]))
    return Section("How to reproduce it", [*blocks, Measured([("file", subject.sha256)])])

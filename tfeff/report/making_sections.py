"""What a report says of how an artifact was made: its operations, its target's word on them, the rewrites."""

from typing import Any

from tfeff.record.schema import Tuning
from tfeff.report.blocks import Facts, Measured, Missing, Section, Table, Words
from tfeff.report.reported import Reported
from tfeff.report.text import Mono, count, ms, share, short


def operations(item: Reported) -> Section:
    """Which operations the file has, and which of them stayed in float."""
    ops = item.record.ops
    if ops is None:
        return Section("Operations", [Missing("the operations", item.command("check", "--target", "litert"))])
    floats = ops.float_
    facts = [
        ("operations", count(ops.total)),
        ("on 8-bit tensors", count(ops.int8)),
        ("in float", count(len(floats))),
    ]
    blocks: list[Any] = [Facts(facts)]
    if floats:
        blocks.append(Words("In float: " + short(", ".join(floats[:40]) + (" ..." if len(floats) > 40 else ""), 2000)))
    if ops.by_name:
        named = sorted(ops.by_name.items(), key=lambda pair: -pair[1])
        rows = [[short(name, 60), count(n), share(n / ops.total, 1) if ops.total else ""] for name, n in named]
        columns = ["operation", "count", "of all"]
        blocks.append(Table("Operations by name", columns, rows, frozenset(columns[1:])))
    return Section("Operations", [*blocks, Measured([("file", item.sha256)])])


def target(item: Reported) -> Section:
    """What the target makes of each operation; with a compiler, its figures."""
    check, compiled, name = item.record.check, item.record.compiled, item.record.target
    title = f"What {short(name or 'its target', 60)} makes of it"
    if check is None:
        command = item.command("check", *(["--target", name] if name else []))
        return Section(title, [Missing("which operations the target takes", command)])
    verdict = f"{check.mapped:,} of {check.total:,} operations mapped, {short(check.basis, 40)}"
    blocks: list[Any] = [Facts([("verdict", ("taken: " if check.ok else "NOT taken: ") + verdict)])]
    for problem in check.problems:
        mend = f" Mend: {short(problem.mend, 400)}" if problem.mend else ""
        blocks.append(Words(short(problem.reason, 400) + mend, warning=True))
    rows = [
        [short(row.op, 60), count(row.count), short(row.status, 40), short(row.reason or "", 300),
         short(row.mend or "", 300)]
        for row in check.operations
    ]  # fmt: skip
    columns = ["operation", "count", "status", "reason", "mend"]
    if not any(row[3] or row[4] for row in rows):  # nothing was refused
        columns, rows = columns[:3], [row[:3] for row in rows]
    blocks.append(Table("Operation by operation", columns, rows, frozenset({"count"})))
    if facts := _flat(check.facts):
        blocks.append(Facts(facts))
    blocks += [Words(short(note, 400)) for note in check.notes]
    measured = [("file", item.sha256)]
    measured += [("compiled file", compiled.sha256)] if compiled else []
    return Section(title, [*blocks, Measured(measured)])


def _flat(facts):
    """Figures of a verdict, those of its estimates after it."""
    nested = facts.get("estimates")
    named = [*facts.items(), *((f"estimated {k}", v) for k, v in (nested if isinstance(nested, dict) else {}).items())]
    plain = {key: value for key, value in named if not isinstance(value, dict | list)}
    return [(short(k.replace("_", " "), 80), _value(v)) for k, v in plain.items() if v is not None and v != ""]


def _value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else short(str(value), 300)


def rewrites(item: Reported) -> Section | None:
    """What was changed for the target, and the forms that were timed."""
    made, tuning, proof = item.record.rewrites, item.record.tuning, item.record.proof
    if not made and tuning is None and proof is None:
        return None  # nobody says
    blocks: list[Any] = []
    if not made:
        blocks.append(Words("Nothing was rewritten."))
    else:
        rows = [
            [short(r.name, 60), short(r.form or "", 60), count(r.places), _error(r.max_abs_error),
             _error(r.relative_error), short(r.because or "", 300)]
            for r in made
        ]  # fmt: skip
        columns = ["rewrite", "form", "places", "largest difference", "of the largest output", "because"]
        on = f" on {proof.inputs:,} inputs of {short(proof.source)}" if proof else ""
        blocks.append(Table(f"Rewrites, each compared in float{on}", columns, rows, frozenset(columns[2:5])))
    if tuning and tuning.places:
        blocks.append(_tuned(tuning))
    return Section("What was rewritten", [*blocks, Measured([("file", item.sha256)])])


def _error(value):
    return "" if value is None else f"{value:.1e}"


def _tuned(tuning: Tuning) -> Table:
    rows = []
    for place in tuning.places:
        forms = ", ".join(f"{name} {ms(form.median_ms)}" for name, form in place.forms.items())
        layer = Mono(short(place.layer, 80))
        rows.append([short(place.rewrite, 60), layer, count(place.places), short(forms, 300), short(place.chosen, 60)])
    device = ", ".join(filter(None, (tuning.device, tuning.cpu, tuning.runtime, tuning.version)))
    columns = ["rewrite", "first layer of its shape", "places", "forms, median ms", "chosen"]
    return Table(f"Forms that were timed on {short(device)}", columns, rows, frozenset({"places"}))

"""`tfeff check FILE --target T`: what a target would make of a file, without running it."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.part import part_options, sized_part
from tfeff.errors import GateFailed, TfeffError

if TYPE_CHECKING:
    from tfeff.export.targets.common import Verdict
    from tfeff.tflite.part import PartOptions


@click.command(name="check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", help="What the file must run on [default: the target that its record names].")
@click.option("--accelerator", help="For --target ethos-u: which one, such as ethos-u55-128.")
@part_options
@click.option("--confirm", is_flag=True, help="Ask the target's own compiler (edgetpu, ethos-u) instead of the rules.")
@output_options
def command(
    file: Path, target: str | None, accelerator: str | None, part: "PartOptions", confirm: bool, out: Output
) -> None:
    """What a target would make of FILE, any .tflite file: each operation, why it is refused, and how to mend it.

    The verdict is predicted from rules; of litert and web LiteRT loads the file in a process of its own, and with
    --confirm the target's own compiler gives it. Of several subgraphs the operations of all are judged, or of one
    signature and what it calls (--signature). Exit code 0 when the target runs every operation, 1 when not, 2 when the
    file cannot be judged (float for an int8 target, no fixed shape).
    """
    path, sha256, recorded = _open(file)
    name = target or recorded
    if not name:
        raise TfeffError(f"{path}: no record says what it was made for", "give --target")
    if confirm and part.given:
        raise TfeffError("--confirm: goes with the whole file", "leave --signature and --input-shape out")
    verdict = _confirmed(name, path, accelerator) if confirm else _predicted(name, path, accelerator, part)
    verdict = _said(verdict, path, part)
    _show(out, path, verdict)
    out.json({"file": str(path), "sha256": sha256, **verdict.as_dict()})
    if not verdict.ok:
        _fail(path, verdict)


def _open(file: Path) -> tuple[Path, str, str | None]:
    """(the .tflite, its sha256, the target that its record names, if there is one)"""
    from tfeff.artifact import check_tflite, open_artifact, read_record, record_path

    if file.suffix == ".json":
        artifact = open_artifact(file)
        return artifact.path, artifact.sha256, artifact.record.target if artifact.record is not None else None
    sha256 = check_tflite(file)
    try:
        record = read_record(record_path(file))
    except TfeffError:  # none, or a .json of somebody else's beside somebody else's file
        return file, sha256, None
    return file, sha256, record.target if record.sha256 == sha256 else None


def _confirmed(target: str, path: Path, accelerator: str | None) -> "Verdict":
    """By the target's own compiler."""
    from tfeff.export.targets import get_target
    from tfeff.export.targets.common import find_confirm

    get_target(target)  # is there such a target?
    options, ask = _options(target, accelerator), find_confirm(target)
    if ask is None:
        raise TfeffError(f"--confirm: {target} has no compiler to ask", "leave it out, or time the file: `tfeff bench`")
    return ask(path, **options)


def _predicted(target: str, path: Path, accelerator: str | None, part: "PartOptions") -> "Verdict":
    """From the target's rules, and what its runtime says where it is here."""
    from tfeff.export.targets import get_target
    from tfeff.tflite.check import check_file
    from tfeff.tflite.graph import read_graph
    from tfeff.tflite.part import take_part

    chosen, options = get_target(target), _options(target, accelerator)
    try:
        taken = take_part(check_file(path).data, path, part, may_be_open=True)
        data = sized_part(taken.data, path) if part.shapes else taken.data
        graph = read_graph(path, data)
        verdict = chosen.check(graph, **options)
        return chosen.ask(verdict, graph, data, path) if chosen.ask else verdict
    except TfeffError as error:
        raise TfeffError(f"{path}: {error.what.removeprefix(f'{path}: ')}", error.mend) from None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # an operation without its inputs, say
        raise TfeffError(f"{path}: damaged ({type(error).__name__}: {error})", "convert it anew") from None


def _said(verdict: "Verdict", path: Path, part: "PartOptions") -> "Verdict":
    """With what is to be known of a file with several signatures or subgraphs, and mends that can be typed."""
    from tfeff.export.targets.common.runtimes import FILE
    from tfeff.tflite.entry import which_runs

    said = which_runs(path, part, "judged")
    notes = (*verdict.notes, *([said] if said else []))
    name = shlex.quote(str(path))
    operations = tuple(replace(op, mend=op.mend.replace(f" {FILE} ", f" {name} ")) for op in verdict.operations)
    problems = tuple(replace(one, mend=one.mend.replace(f" {FILE} ", f" {name} ")) for one in verdict.problems)
    return replace(verdict, operations=operations, problems=problems, notes=notes)


def _options(name: str, accelerator: str | None) -> dict[str, Any]:
    if accelerator is None:
        return {}
    if name != "ethos-u":
        raise TfeffError(f"--accelerator does not go with {name}", "it is for --target ethos-u")
    return {"accelerator": accelerator}


def _show(out: Output, path: Path, verdict: "Verdict") -> None:
    for problem in verdict.problems:
        out.say(f"{path.name}: {problem.reason}")
        out.say(f"  mend: {problem.mend}")
    rows = [[row["op"], str(row["count"]), row["status"], row["reason"], row["mend"]] for row in verdict.rows()]
    columns = ["operation", "count", "status", "reason", "mend"]
    if any(row["subgraph"] for row in verdict.rows()):
        columns = ["subgraph", *columns]
        rows = [[row["subgraph"] or "", *cells] for row, cells in zip(verdict.rows(), rows, strict=True)]
    mapped = f"{verdict.mapped} of {verdict.total} operations mapped"
    out.say(f"{path.name} for {verdict.target}, {verdict.basis}: {mapped}")
    out.table(
        "",
        columns,
        rows,
        words=("status", "reason", "mend"),
    )
    if (broken := verdict.first_break) is not None and not verdict.problems:
        out.say(f"first break: {broken.label} {broken.reason}")
    for note in verdict.notes:
        out.say(f"note: {note}")
    flat = {**{k: v for k, v in verdict.facts.items() if not isinstance(v, dict)}, **verdict.facts.get("estimates", {})}
    known = {key: value for key, value in flat.items() if value not in (None, False, [])}
    facts = [(key.replace("_", " "), _figure(value)) for key, value in known.items()]
    if facts:
        out.facts("", facts)


def _figure(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}"


def _fail(path: Path, verdict: "Verdict") -> None:
    left = verdict.total - verdict.mapped
    what = f"{path}: {verdict.target} would not run {left} of {verdict.total} operations ({verdict.basis})"
    if verdict.problems:
        raise GateFailed(
            f"{path}: {verdict.target} would not take the file ({verdict.basis})", verdict.problems[0].mend
        )
    raise GateFailed(what, verdict.first_break.mend if verdict.first_break else "")

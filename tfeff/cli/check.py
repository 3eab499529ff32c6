"""`tfeff check FILE --target T`: what a target would make of a file, without running it."""

from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.errors import GateFailed, TfeffError


@click.command(name="check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", help="What the file must run on [default: the target that its record names].")
@click.option("--accelerator", help="For --target ethos-u: which one, such as ethos-u55-128.")
@click.option("--confirm", is_flag=True, help="Ask the target's own compiler (edgetpu, ethos-u) instead of the rules.")
@output_options
def command(file, target, accelerator, confirm, out):
    """What a target would make of FILE, any .tflite file: each operation, why it is refused, and how to mend it.

    The verdict is predicted from rules; with --confirm the target's own compiler gives it. Exit code 0 when the target
    runs every operation, 1 when not, 2 when the file cannot be judged (float for an int8 target, no fixed shape).
    """
    from tfeff.export.targets import get_target
    from tfeff.export.targets.common import find_confirm
    from tfeff.tflite.graph import read_graph

    path, sha256, recorded = _open(file)
    name = target or recorded
    if not name:
        raise TfeffError(f"{path}: no record says what it was made for", "give --target")
    chosen = get_target(name)
    options = _options(name, accelerator)
    if confirm:
        ask = find_confirm(name)
        if ask is None:
            raise TfeffError(
                f"--confirm: {name} has no compiler to ask", "leave it out, or time the file: `tfeff bench`"
            )
        verdict = ask(path, **options)
    else:
        try:
            verdict = chosen.check(read_graph(path), **options)
        except TfeffError as error:
            raise TfeffError(f"{path}: {error.what.removeprefix(f'{path}: ')}", error.mend) from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # an operation without its inputs, say
            raise TfeffError(f"{path}: damaged ({type(error).__name__}: {error})", "convert it anew") from None
    _show(out, path, verdict)
    out.json({"file": str(path), "sha256": sha256, **verdict.as_dict()})
    if not verdict.ok:
        _fail(path, verdict)


def _open(file):
    """(the .tflite, its sha256, the target that its record names, if there is one)"""
    from tfeff.artifact import check_tflite, open_artifact, read_record, record_path

    if file.suffix == ".json":
        artifact = open_artifact(file)
        return artifact.path, artifact.sha256, artifact.record.get("target")
    sha256 = check_tflite(file)
    try:
        record = read_record(record_path(file))
    except TfeffError:  # none, or a .json of somebody else's beside somebody else's file
        return file, sha256, None
    return file, sha256, record.get("target") if record["sha256"] == sha256 else None


def _options(name, accelerator):
    if accelerator is None:
        return {}
    if name != "ethos-u":
        raise TfeffError(f"--accelerator does not go with {name}", "it is for --target ethos-u")
    return {"accelerator": accelerator}


def _show(out, path, verdict):
    for problem in verdict.problems:
        out.say(f"{path.name}: {problem.reason}")
        out.say(f"  mend: {problem.mend}")
    rows = [[row["op"], row["count"], row["status"], row["reason"], row["mend"]] for row in verdict.rows()]
    mapped = f"{verdict.mapped} of {verdict.total} operations mapped"
    out.say(f"{path.name} for {verdict.target}, {verdict.basis}: {mapped}")
    out.table(
        "",
        ["operation", "count", "status", "reason", "mend"],
        rows,
        words=("status", "reason", "mend"),
    )
    if (broken := verdict.first_break) is not None and not verdict.problems:
        out.say(f"first break: {broken.label} {broken.reason}")
    for note in verdict.notes:
        out.say(f"note: {note}")
    flat = {**{k: v for k, v in verdict.facts.items() if not isinstance(v, dict)}, **verdict.facts.get("estimates", {})}
    known = {key: value for key, value in flat.items() if value not in (None, False, [])}
    facts = [(key.replace("_", " "), _figure(key, value)) for key, value in known.items()]
    if facts:
        out.facts("", facts)


def _figure(key, value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}"


def _fail(path, verdict):
    left = verdict.total - verdict.mapped
    what = f"{path}: {verdict.target} would not run {left} of {verdict.total} operations ({verdict.basis})"
    if verdict.problems:
        raise GateFailed(
            f"{path}: {verdict.target} would not take the file ({verdict.basis})", verdict.problems[0].mend
        )
    raise GateFailed(what, verdict.first_break.mend if verdict.first_break else "")

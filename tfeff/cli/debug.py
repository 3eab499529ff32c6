"""`tfeff debug`: where an int8 file goes wrong, layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.part import part_options
from tfeff.cli.source import parse_pixels, pixel_options
from tfeff.errors import TfeffError

if TYPE_CHECKING:
    from tfeff.artifact import Artifact
    from tfeff.debug import DebugResult, LayerError
    from tfeff.debug.result import Agreement
    from tfeff.record.schema import PortAgreement
    from tfeff.tflite.part import PartOptions


@click.command(name="debug")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--float", "float_file", type=click.Path(path_type=Path), help="The float .tflite [default: the twin].")
@click.option(
    "--images",
    help="A folder, an .npz (images, or an array an input by name) or a dataset's name [default: what the record was "
    "calibrated with].",
)
@click.option("--samples", type=click.IntRange(min=1), default=64, show_default=True, help="How many samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the choice of samples.")
@click.option("--output", metavar="NAME", help="Count the error of this output only [default: of all together].")
@pixel_options
@click.option("--allow-audit", is_flag=True, help="Go on with values that do not lie on the file's own input grid.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Layers to show.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the layers into a .png or .svg file.")
@click.option("--force", is_flag=True, help="Overwrite the picture.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Layers run side by side.")
@part_options
@click.option("--record", is_flag=True, help="Write the layers into the artifact's record, for `tfeff report`.")
@output_options
def command(
    artifact: Path, picture: Path | None, force: bool, top: int, record: bool, out: Output, **given: Any
) -> None:
    """Where the int8 file ARTIFACT goes wrong: every layer's error, and what the outputs gain when it is in float.

    The file is simulated in float with every value put on its tensor's grid, and one layer at a time is left off it.
    Works on any quantized .tflite; preprocessing, samples and float twin are read from the record where there is one.
    Of several outputs each counts alike, by its error relative to its energy.
    """
    from tfeff.debug.picture import check_suffix, draw_picture
    from tfeff.debug.record import record_debug
    from tfeff.files import write_whole

    if picture:
        check_suffix(picture)
        if picture.exists() and not force:
            raise TfeffError(f"{picture}: exists", "choose another name, or --force")
        if not picture.absolute().parent.is_dir():
            raise TfeffError(f"{picture}: its folder does not exist", "make it first")
    if record and given["part"].given:
        raise TfeffError("--record: a record is of the whole file", "leave it out; --json prints all of it")
    opened = _with_record(artifact) if record else None
    result = _debug(artifact, out, **given)
    if picture:
        write_whole(picture, draw_picture(result, picture), force=force)
    _show(out, result, top)
    if opened:
        record_debug(opened, result)
    out.json({**result.as_dict(), "picture": str(picture) if picture else None})


def _debug(
    artifact: Path, out: Output, *, seed: int, threads: int, allow_audit: bool, part: "PartOptions", **given: Any
) -> "DebugResult":
    from tfeff.debug import Options, debug

    chosen = parse_pixels({name: given.pop(name) for name in ("mean", "std", "colour", "resize", "crop")})
    options = Options(seed, threads, chosen, allow_audit, part)
    with out.progress("debugging") as progress:
        return debug(artifact, options=options, progress=progress.step, **given)


def _with_record(path: Path) -> "Artifact":
    from tfeff.artifact import open_artifact

    opened = open_artifact(path)
    if opened.record is None:
        raise TfeffError(f"{path}: has no record to write into", "leave out --record; --json prints all of it")
    return opened


def _show(out: Output, result: "DebugResult", top: int) -> None:
    simulation, weights = result.simulation, result.weights
    rows = [(f"SQNR of {port.name}", _port(port)) for port in result.ports] if len(result.ports) > 1 else []
    rows = [
        ("outputs' SQNR" if result.output is None else "counted", _counted(result)),
        *rows,
        ("simulation", _agreement(simulation)),
        ("samples", f"{result.samples} of {result.images}"),
        ("runtime", f"{result.runtime} {result.version}"),
    ]
    if result.float_file:
        equal = simulation.float_sqnr_db
        found = f"{weights.found} of {weights.rounded} constants found in it"
        same = "equal to it" if equal is None else f"{equal:.1f} dB from it"
        rows.insert(1, ("float file", f"{found}; the int8 file in float is {same}"))
    out.facts(f"{result.file} against {result.float_file or 'itself without its grids'}", rows)
    columns = ["layer", "operation", "error share", "SQNR here", "SQNR alone", "range use", "clipped"]
    out.table("", columns, [_row(row) for row in result.layers[:top]], words=("operation",))
    if (more := len(result.layers) - top) > 0:
        out.say(f"and {more} more layers (--top, --json)")
    for note in result.notes:
        out.say(f"note: {note}")


def _counted(result: "DebugResult") -> str:
    found = _decibels(result.output_sqnr_db)
    if result.output is not None:
        return f"the error of {result.output} only, {found}"
    return f"{found}, all together" if len(result.ports) > 1 else found


def _port(port: "PortAgreement") -> str:
    if port.equal_share is not None:
        return f"{100 * port.equal_share:.1f} % of the values are equal"
    return _decibels(port.sqnr_db)


def _row(row: "LayerError") -> list[str]:
    return [
        row.layer,
        row.op,
        f"{100 * row.error_share:.1f} ± {100 * row.error_share_se:.1f} %",
        _decibels(row.sqnr_db),
        _decibels(row.local_sqnr_db),
        f"{100 * row.range_use:.0f} %",
        f"{100 * row.clipped_share:.2f} %",
    ]


def _decibels(value: float | None) -> str:
    return "no error" if value is None else f"{value:.1f} dB"


def _agreement(simulation: "Agreement") -> str:
    parts = ["agrees with the file" if simulation.agrees else "does NOT agree with the file"]
    if simulation.same_answers is not None:
        parts.append(f"{100 * simulation.same_answers:.1f} % the same answer")
    if simulation.mean_lsb is not None:
        parts.append(f"outputs {simulation.mean_lsb:.2f} steps apart in the mean, {simulation.max_lsb:.0f} at most")
    elif simulation.sqnr_db is not None:
        parts.append(f"outputs {simulation.sqnr_db:.1f} dB from its")
    return ", ".join(parts)

"""`tfeff profile`: where a file's time goes on a phone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.part import part_options, sized_part
from tfeff.cli.phone import is_phone, phone_options, prepared
from tfeff.errors import TfeffError
from tfeff.files import write_whole

if TYPE_CHECKING:
    from tfeff.profile.join import Profile, Profiled, Total
    from tfeff.tflite.part import PartOptions


@click.command("profile")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--on", "device", required=True, metavar="DEVICE", help="adb[:SERIAL].")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of the runtime.")
@click.option("--xnnpack/--no-xnnpack", default=True, help="Let the runtime hand the graph to XNNPACK (default).")
@click.option(
    "--by", default="layer", show_default=True, type=click.Choice(["operation", "layer", "block"]), help="Rows."
)
@click.option("--top", default=20, show_default=True, type=click.IntRange(1), help="Rows of the table.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="Blocks as bars: .png or .svg.")
@click.option("--force", is_flag=True, help="Replace the picture's file.")
@part_options
@phone_options
@output_options
def command(
    file: Path,
    device: str,
    threads: int,
    xnnpack: bool,
    by: str,
    top: int,
    picture: Path | None,
    force: bool,
    part: "PartOptions",
    phone: dict[str, Any],
    out: Output,
) -> None:
    """Tell where the time of FILE goes: operations, layers and blocks with their multiply-adds and bytes.

    The benchmark tool times each operation; profiling slows the whole down, so shares count, not sums. Overhead is
    what the network did not ask for: requantising, transposing, padding, moving. XNNPACK tells kinds of operations
    only; they are matched with layers by their order, or not at all.
    """
    from tfeff.artifact import open_artifact
    from tfeff.bench import Settings
    from tfeff.bench.adb.options import PhoneOptions
    from tfeff.bench.adb.profiling import profile_on_phone
    from tfeff.bench.devices import find_device
    from tfeff.bench.part import parts_timed
    from tfeff.profile import draw_picture, join
    from tfeff.tflite.entry import which_runs
    from tfeff.tflite.graph import read_graph

    if not is_phone(device):
        raise TfeffError(f"{device}: cannot be profiled", "only a phone's benchmark_model tells operations: --on adb")
    _check_picture(picture, force)
    settings = Settings(threads, xnnpack)
    options = prepared(phone, [file], [device], settings) or PhoneOptions()
    artifact = open_artifact(file)
    with parts_timed([artifact], part) as (timed,):
        data = timed.path.read_bytes()
        graph = read_graph(timed.path, sized_part(data, artifact.path) if part.shapes else data)
        found = profile_on_phone(find_device(device), timed, threads, settings, options)
    profile = join(graph, artifact.path.name, found.tables)
    if picture:
        title = f"{profile.file} on {device}, {found.runtime}"
        mend = "--picture FILE in a folder of yours"
        write_whole(picture, draw_picture(profile, title, picture), force=force, mend=mend)
    words = f"{threads} thread{'s' if threads > 1 else ''}, {profile.total_ms:.4g} ms in operations"
    _table(out, profile, f"{profile.file} on {device}: {found.runtime} {found.version}, {words}", by, top)
    said = which_runs(artifact.path, part, "profiled")
    if said:
        out.say(f"note: {said}")
    told = {"schema_version": 1, "device": device, "sha256": artifact.sha256, **found.as_dict(), **profile.as_dict()}
    out.json({**told, "notes": [said] if said else []})


def _check_picture(picture: Path | None, force: bool) -> None:
    from tfeff.profile.picture import check_suffix

    if picture is None:
        return
    check_suffix(picture)
    if picture.exists() and not force:
        raise TfeffError(f"{picture}: exists", "choose another name, or --force")


def _table(out: Output, profile: "Profile", title: str, by: str, top: int) -> None:
    if by == "operation":
        heads = ["layer", "operation", "overhead"]
        slowest = sorted(profile.operations, key=lambda one: -one.ms)
        cells = [[one.layer, one.op, one.overhead or "", *_figures(one)] for one in slowest]
    else:
        heads = [by, "operations"]
        totals = profile.layers if by == "layer" else profile.blocks
        cells = [[one.name, str(one.operations), *_figures(one)] for one in totals]
    columns = [*heads, "ms", "% of time", "MAdds", "bytes", "GMAdds/s"]
    out.table(title, columns, cells[:top], words=("operation", "overhead"))
    if len(cells) > top:
        out.say(f"and {len(cells) - top} more (--top)")
    for kind, ms in sorted(profile.overhead.items(), key=lambda item: -item[1]):
        out.say(f"overhead: {kind} takes {ms:.4g} ms, {100 * ms / profile.total_ms:.1f} %")
    if profile.unmapped_ms:
        share = 100 * profile.unmapped_ms / profile.total_ms
        out.say(f"note: {share:.1f} % of the time is in rows that could not be told to a layer; --no-xnnpack tells all")


def _figures(one: "Profiled | Total") -> list[str]:
    speed = f"{one.gmadds_per_s:.3g}" if one.gmadds_per_s else ""
    return [f"{one.ms:.4g}", f"{one.share:.1f}", _large(one.madds), _large(one.bytes), speed]


def _large(number: int | None) -> str:
    return "" if not number else f"{number / 1e6:.4g} M" if number >= 1e6 else f"{number / 1e3:.4g} k"

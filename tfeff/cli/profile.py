"""`tfeff profile`: where a file's time goes on a phone."""

from pathlib import Path

import click

from tfeff.cli.output import output_options
from tfeff.cli.phone import is_phone, phone_options, prepared
from tfeff.errors import TfeffError


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
@phone_options
@output_options
def command(file, device, threads, xnnpack, by, top, picture, force, phone, out):
    """Tell where the time of FILE goes: operations, layers and blocks with their multiply-adds and bytes.

    The benchmark tool times each operation; profiling slows the whole down, so shares count, not sums. Overhead is
    what the network did not ask for: requantising, transposing, padding, moving. XNNPACK tells kinds of operations
    only; they are matched with layers by their order, or not at all.
    """
    from tfeff.artifact import open_artifact
    from tfeff.bench.adb.profiling import profile_on_phone
    from tfeff.bench.devices import find_device
    from tfeff.profile import draw_picture, join
    from tfeff.profile.picture import check_suffix

    if not is_phone(device):
        raise TfeffError(f"{device}: cannot be profiled", "only a phone's benchmark_model tells operations: --on adb")
    if picture:
        check_suffix(picture)
        if picture.exists() and not force:
            raise TfeffError(f"{picture}: exists", "choose another name, or --force")
    options = prepared(phone, [], [device], xnnpack, 0)
    artifact = open_artifact(file)
    found = profile_on_phone(find_device(device), artifact, threads=threads, xnnpack=xnnpack, options=options)
    tables = found.pop("tables")
    profile = {"schema_version": 1, "device": device, "sha256": artifact.sha256, "threads": threads, **found}
    profile |= join(artifact.path, tables)
    if picture:
        _write(picture, draw_picture(profile, picture))
    _table(out, profile, by, top)
    out.json(profile)


def _table(out, profile, by, top):
    threads = f"{profile['threads']} thread{'s' if profile['threads'] > 1 else ''}"
    title = f"{profile['file']} on {profile['device']}: {profile['runtime']} {profile['version']}, {threads}, "
    title += f"{profile['total_ms']:.4g} ms in operations"
    if by == "operation":
        rows = sorted(profile["operations"], key=lambda row: -row["ms"])
        first = [[row["layer"], row["op"], row["overhead"] or ""] for row in rows]
        heads = ["layer", "operation", "overhead"]
    else:
        rows = profile[f"{by}s"]
        first, heads = [[row[by], str(row["operations"])] for row in rows], [by, "operations"]
    cells = [
        [*named, f"{row['ms']:.4g}", f"{row['share']:.1f}", _large(row["madds"]), _large(row["bytes"]),
         f"{row['gmadds_per_s']:.3g}" if row["gmadds_per_s"] else ""]
        for named, row in zip(first, rows, strict=True)
    ]  # fmt: skip
    columns = [*heads, "ms", "% of time", "MAdds", "bytes", "GMAdds/s"]
    out.table(title, columns, cells[:top], words=("operation", "overhead"))
    if len(cells) > top:
        out.say(f"and {len(cells) - top} more (--top)")
    total = profile["total_ms"]
    for kind, ms in sorted(profile["overhead"].items(), key=lambda item: -item[1]):
        out.say(f"overhead: {kind} takes {ms:.4g} ms, {100 * ms / total:.1f} %")
    if profile["unmapped_ms"]:
        share = 100 * profile["unmapped_ms"] / total
        out.say(f"note: {share:.1f} % of the time is in rows that could not be told to a layer; --no-xnnpack tells all")


def _large(number):
    return "" if not number else f"{number / 1e6:.4g} M" if number >= 1e6 else f"{number / 1e3:.4g} k"


def _write(path, data):
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TfeffError(
            f"{path}: cannot be written ({error.strerror})", "--picture FILE in a folder of yours"
        ) from None

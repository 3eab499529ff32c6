"""`tfeff report RECORD...`: a page out of records."""

import sys
from pathlib import Path

import click

from tfeff.cli.output import Output, output_options
from tfeff.cli.words import shown_lines
from tfeff.errors import TfeffError
from tfeff.files import write_whole


@click.command("report")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...", type=click.Path(path_type=Path))
@click.option("--out", "destination", type=click.Path(path_type=Path), help="Where to [html: needed; else stdout].")
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), help="[default: by the ending of --out]")
@click.option("--verify", is_flag=True, help="Hash the files again; exit 2 where one is gone or another.")
@click.option("--pictures", "folders", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Show the pictures of tfeff compare --pictures DIR; once an artifact.")  # fmt: skip
@click.option("--title", help="Of the page [default: the artifact's name].")
@click.option("--force", is_flag=True, help="Replace the file of --out.")
@output_options
def command(
    records: tuple[Path, ...],
    destination: Path | None,
    form: str | None,
    verify: bool,
    folders: tuple[Path, ...],
    title: str | None,
    force: bool,
    out: Output,
) -> None:
    """One page out of RECORDs, the .json files that `tfeff export` wrote: what int8 cost, where, and how fast it is.

    The page is one file without scripts and asks nothing of the network. What was not measured is said, with the
    command that measures it. The records alone suffice; --verify wants the files beside them as well.
    """
    from tfeff.report import read_reported, report, with_pictures

    form = _format(form, destination, out)
    _check_destination(destination, records, force)
    items = with_pictures(read_reported(records, verify=verify), folders)
    text = report(items, form, title=title)
    if destination is None:
        sys.stdout.write(shown_lines(text))
        return
    data = text.encode("utf-8", "replace")
    write_whole(destination, data, force=force)
    _show(out, items, destination, data, verify)
    out.json({
        "file": str(destination),
        "format": form,
        "size_bytes": len(data),
        "artifacts": [{"name": s.name, "sha256": s.sha256, "verified": list(s.verified)} for s in items],
    })  # fmt: skip


def _format(form, destination, out):
    if form is None:
        form = {".md": "md", ".json": "json"}.get(destination.suffix.lower() if destination else "", "html")
    if destination is None:
        if form == "html":
            raise TfeffError("report: no file to write the page to", "--out report.html")
        if out.as_json:
            raise TfeffError("--json: the report itself goes to stdout", "name a file for it with --out")
    return form


def _check_destination(destination, records, force):
    if destination is None:
        return
    try:
        there = destination.exists()
    except OSError as error:
        raise TfeffError(f"{destination}: cannot be written ({error.strerror})", "choose another name") from None
    if not destination.name or destination.is_dir():
        raise TfeffError(f"{destination}: is a folder", "--out FOLDER/report.html")
    if not destination.absolute().parent.is_dir():
        raise TfeffError(f"{destination}: its folder does not exist", "make it first")
    read = {path.with_suffix(end).resolve() for path in records if path.name for end in (".json", ".tflite")}
    if destination.resolve() in read:
        raise TfeffError(f"{destination}: is one of the artifacts", "write the report to another file")
    if there and not force:
        raise TfeffError(f"{destination}: exists", "choose another name, or --force")


def _show(out, items, destination, data, verify):
    from tfeff.report.build import missing

    rows = []
    for number, item in enumerate(items, 1):
        gaps = missing(item)
        rows.append([str(number), item.name, item.sha256[:12], ", ".join(gap["what"] for gap in gaps) or "nothing"])
    out.table("", ["no.", "artifact", "sha256", "not measured"], rows, words=("artifact", "sha256", "not measured"))
    checked = "files hashed again" if verify else "files not hashed again (--verify)"
    out.say(f"{destination}: {len(data):,} bytes, {checked}")

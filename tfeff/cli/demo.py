"""`tfeff demo`: the Android app, or the web page, with your artifacts in it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from tfeff.cli.output import Output, output_options
from tfeff.errors import TfeffError


@click.command("demo")
@click.argument("artifacts", nargs=-1, required=True)
@click.option("--out", "destination", type=click.Path(path_type=Path), help="The APK to write.")
@click.option("--web", metavar="DIR", help="Write the web page there instead; any web server can serve it.")
@click.option("--samples", metavar="FOLDER", help="With --web: images to choose from.")
@click.option("--image", type=click.Path(path_type=Path), help="Picture of the self-test; default: one of our own.")
@click.option("--key", type=click.Path(path_type=Path), help="RSA key (PEM) that signs it; made where it is missing.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@output_options
def command(
    artifacts: tuple[str, ...],
    destination: Path | None,
    web: str | None,
    samples: str | None,
    image: Path | None,
    key: Path | None,
    force: bool,
    out: Output,
) -> None:
    """Put ARTIFACTS into the Android demo app and sign it; no Android tool is needed.

    The app shows the camera or a picked image, what the model says of it, and the times of pre-processing, inference
    and post-processing; it tests itself against bytes that this machine computes now. The models take one image.
    Android 7 or later; ARM, 64 and 32 bits, and x86-64.

    With --web, a page that runs ARTIFACTs in any browser, without a network once it was loaded (`tfeff serve` serves it
    from here).
    """
    if web is not None:
        _page(artifacts, web, samples, {"--out": destination, "--image": image, "--key": key}, force, out)
        return
    if destination is None:
        raise TfeffError("demo: neither --out nor --web", "name the APK (--out) or the page's folder (--web)")
    if samples is not None:
        raise TfeffError("demo: --samples without --web", "for the app's picture: --image")
    from tfeff.demo import build_demo

    with out.progress("building") as progress:
        demo = build_demo(artifacts, destination, image=image, key=key, force=force, progress=progress)
    rows = [[model.name, model.sha256[:12], model.answer] for model in demo.models]
    columns = ["model", "sha256", "self-test's answer"]
    out.table(f"{demo.path}: {demo.size_bytes:,} bytes", columns, rows, ("sha256",))
    out.say(f"adb install --no-streaming -r {demo.path}")
    out.json(
        {
            "path": str(demo.path), "sha256": demo.sha256, "size_bytes": demo.size_bytes,
            "application": demo.application,
            "models": [asdict(model) for model in demo.models],
        }
    )  # fmt: skip


def _page(
    artifacts: tuple[str, ...],
    folder: str,
    samples: str | None,
    others: Mapping[str, object],
    force: bool,
    out: Output,
) -> None:
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise TfeffError(f"demo: {given[0]} beside --web", "make the app and the page one after the other")
    from tfeff.web import write_page

    files = write_page(artifacts, folder, samples=samples, force=force)
    size = sum(path.stat().st_size for path in files)
    out.say(f"{folder}: {len(files)} files, {size:,} bytes")
    out.say("serve it by https or on localhost: browsers give camera, threads and offline use to such pages only")
    out.json({"path": str(folder), "files": [str(path) for path in files], "size_bytes": size})

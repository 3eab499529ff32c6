"""`tfeff serve`: a page that runs artifacts in the browser, served from this machine."""

import click

from tfeff.cli.output import Output, output_options


@click.command("serve")
@click.argument("files", nargs=-1, required=True, metavar="ARTIFACT...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for all of the network.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--samples", metavar="FOLDER", help="Images to choose from (default: bundled ones, where they fit).")
@click.option("--collect", is_flag=True, help="Let devices that open the page send their times into the records.")
@click.option(
    "--certificate", metavar="FILE", help="PEM; serve by https, which phones want for camera, threads, offline."
)
@click.option("--key", metavar="FILE", help="The certificate's private key, PEM.")
@output_options
def command(
    files: tuple[str, ...],
    host: str,
    port: int,
    samples: str | None,
    collect: bool,
    certificate: str | None,
    key: str | None,
    out: Output,
) -> None:
    """Serve a page that runs ARTIFACTs in the browser, until Ctrl-C.

    The artifacts take one image, with float32 input and output (`tfeff export NETWORK --int8 --target web`); each is
    shown beside its float twin. Images stay in the browser.

    With --collect, the address that is printed carries a token; a device that opens it can run the bench protocol and
    send its times, which go into the records.
    """
    from pathlib import Path

    from tfeff.artifact import open_artifact
    from tfeff.cli.endings import Endings
    from tfeff.errors import TfeffError
    from tfeff.web import PageServer, site
    from tfeff.web.models import unique

    if key and not certificate:
        raise TfeffError("serve: --key without --certificate", "give both")
    assets = site(files, samples=samples, collect=collect)
    posts, fragment = {}, ""
    if collect:
        from tfeff.bench.collect import Collector
        from tfeff.web.site import probes

        version = next(name for name in assets if name.startswith("litert-")).partition("/")[0].partition("-")[2]
        artifacts = unique(open_artifact(file) for file in files)
        collector = Collector(artifacts, probes(assets), version, out.say)
        posts, fragment = {"collect": collector.post}, f"#collect={collector.token}"
    paths = {name: Path(value) if value else None for name, value in (("certificate", certificate), ("key", key))}
    with Endings() as endings, PageServer(assets, host=host, port=port, posts=posts, **paths) as server:
        out.say(f"serving {server.url}{fragment}  (Ctrl-C ends it)")
        if server.public:
            out.say("other devices reach it under this machine's own address, by the same port")
        out.json(
            {
                "url": server.url + fragment,
                "port": server.port,
                "files": sorted(a for a in assets if a.startswith("files/")),
            }
        )
        endings.wait()

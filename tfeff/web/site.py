"""The files of the page: what npm built (`page/`, shipped in `built/`), the artifacts, and a list of them.

Nothing that a user named (files, labels, classes) becomes part of an address or of HTML: files are called by their
sha256, and all else is data in `models.json`, which the page shows as text.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tfeff.artifact import open_artifact
from tfeff.errors import TfeffError
from tfeff.files import write_folder
from tfeff.web.assets import Asset, mime_type, page_assets
from tfeff.web.models import PageModel, page_model, unique

if TYPE_CHECKING:
    import numpy as np

LIST = "models.json"
SAMPLES = 12
PROBES = 4


@dataclass(frozen=True)
class Sample:
    """An image to choose from: its address and name, the PNG file, and its pixels, uint8 (h, w) or (h, w, 3)."""

    url: str
    name: str
    png: bytes
    image: "np.ndarray"


def site(files: Sequence[str | Path], *, samples: str | Path | None = None, collect: bool = False) -> dict[str, Asset]:
    """All files of a page that runs some artifacts, by address relative to the page.

    Args:
        files: artifacts that take one image, with float32 input and output (`--target web`, or float); the float twin
            of each is taken too.
        samples: a folder of images to choose from; without one, those bundled for the artifacts' data set.
        collect: whether the page offers to send its times to the server.

    Raises:
        TfeffError: an artifact that the page cannot run or that has no record with its preprocessing; a folder without
            images.
    """
    if not files:
        raise TfeffError("page: no artifact to show", "give one or more .tflite files that `tfeff export` wrote")
    assets = page_assets()
    models: list[PageModel] = []
    for artifact in unique(open_artifact(file) for file in files):
        model, data = page_model(artifact)
        models.append(model)
        assets |= data
    chosen = _samples(models, Path(samples) if samples else None)
    for sample in chosen:
        assets[sample.url] = Asset(sample.png, mime_type(sample.url), lasting=True)
    if collect:
        for model in models:
            probe = _probe(model, [sample.image for sample in chosen]).tobytes()
            assets[f"probes/{model.files[0].sha256}.bin"] = Asset(probe, mime_type(".bin"))
    litert = next(address for address in assets if address.startswith("litert-")).partition("/")[0]
    listed = {
        "litert": litert + "/",
        "models": msgspec.to_builtins(models),
        "samples": [{"url": sample.url, "name": sample.name} for sample in chosen],
        "collect": collect,
        "tall_first": tall_first(),
        # Without LiteRT's own files: the page keeps the one build that this browser takes.
        "assets": sorted({address for address in assets if not address.startswith((litert, "probes/"))} | {LIST}),
    }
    assets[LIST] = Asset(json.dumps(listed, indent=1, allow_nan=False).encode(), mime_type(LIST))
    # A browser fetches a service worker anew when its bytes change: it names what it keeps.
    assets["sw.js"] = _stamped(assets)
    return assets


def write_page(
    files: Sequence[str | Path], folder: str | Path, *, samples: str | Path | None = None, force: bool = False
) -> list[Path]:
    """Writes the page into a folder that any web server can serve, whole or not at all.

    Args:
        files, samples: as in `site`.
        folder: where to; a new or empty one, or with `force` one that holds an earlier page.

    Returns:
        the files written.

    Raises:
        TfeffError: as `site`; the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    assets = site(files, samples=samples)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / LIST).is_file() or not (folder / "engine.js").is_file():
            raise TfeffError(f"{folder}: holds other things than a page of ours", "name a new folder")
        if not force:
            raise TfeffError(f"{folder}: exists", "name a new folder, or replace it with --force")

    def fill(new: Path) -> None:
        for address, asset in assets.items():
            path = new / address
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(asset.plain)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, fill, force=force)
    except OSError as error:
        raise TfeffError(
            f"{folder}: cannot be written ({error.strerror})", "choose a folder you can write to"
        ) from None
    return [folder / address for address in assets]


def tall_first() -> bool:
    """Whether this Pillow resizes columns before rows where the height loses more; the page then does so too.

    Since 13.0 (`ImagingResampleInner`); roundings differ by 1 here and there.
    """
    import PIL

    return int(PIL.__version__.partition(".")[0]) >= 13


def probes(assets: Mapping[str, Asset]) -> "dict[str, np.ndarray]":
    """The inputs that `collect` compares outputs on, float32 (n, h, w, c), by the sha256 of each model's first file."""
    import numpy as np

    found = {}
    for model in json.loads(assets[LIST].data)["models"]:
        first, shape = model["files"][0]["sha256"], model["inputs"][0]["shape"]
        values = np.frombuffer(assets[f"probes/{first}.bin"].data, "<f4")
        found[first] = values.reshape(PROBES, *shape[1:])
    return found


def _samples(models: Sequence[PageModel], folder: Path | None) -> list[Sample]:
    if folder is not None:
        from tfeff.data.files import list_images
        from tfeff.data.images import read_image

        if not folder.is_dir():
            raise TfeffError(f"{folder}: no such folder", "give a folder of images with --samples")
        paths = list_images(folder)
        if not paths:
            raise TfeffError(f"{folder}: holds no image", "give a folder of PNG, JPEG ... files")
        return [_sample(path.stem, read_image(path)) for path in paths[:SAMPLES]]
    if not any(model.dataset.startswith("fashion_mnist") for model in models):
        return []
    from tfeff.data.fashion_mnist import CLASSES, load_sample

    bundled = load_sample("test")
    labels = [int(label) for label in bundled.labels] if bundled.labels is not None else []
    return [_sample(name, bundled.image(labels.index(number))) for number, name in enumerate(CLASSES)]


def _sample(name: str, image: "np.ndarray") -> Sample:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    png = file.getvalue()
    return Sample(f"samples/{hashlib.sha256(png).hexdigest()[:16]}.png", name, png, image)


def _probe(model: PageModel, images: "Sequence[np.ndarray]") -> "np.ndarray":
    """Inputs of a model, float32 (PROBES, h, w, c): sample images, or noise where there are none."""
    import numpy as np

    from tfeff.data.preprocessing import from_record

    (image,) = model.inputs
    preprocessing = from_record(image.preprocessing)
    if preprocessing is not None and images:
        return np.stack([preprocessing(images[n % len(images)]) for n in range(PROBES)])
    return np.random.RandomState(0).standard_normal((PROBES, *image.shape[1:])).astype(np.float32)


def _stamped(assets: Mapping[str, Asset]) -> Asset:
    digest = hashlib.sha256()
    for address in sorted(assets):
        digest.update(address.encode() + b"\0" + hashlib.sha256(assets[address].data).digest())
    stamp = f'const VERSION = "{digest.hexdigest()[:16]}";\n'.encode()
    return Asset(stamp + assets["sw.js"].data, assets["sw.js"].type)

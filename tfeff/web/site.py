"""The files of the page: what npm built (`page/`, shipped in `built/`), the artifacts, and a list of them.

Nothing that a user named (files, labels, classes) becomes part of an address or of HTML: files are called by their
sha256, and all else is data in `models.json`, which the page shows as text.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfeff.artifact import Artifact, open_artifact, verify_twin
from tfeff.errors import TfeffError

BUILT = Path(__file__).with_name("built")
LIST = "models.json"
SAMPLES = 12
PROBES = 4
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".tflite": "application/octet-stream",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page.

    Attributes:
        data: its bytes, packed by gzip where `packed`.
        type: its MIME type.
        packed: whether `data` is gzip's.
        lasting: whether its address changes with its bytes, so that a browser may keep it for good.
    """

    data: bytes
    type: str
    packed: bool = False
    lasting: bool = False

    @property
    def plain(self) -> bytes:
        """The bytes as a browser sees them."""
        return gzip.decompress(self.data) if self.packed else self.data


def page_assets() -> dict[str, Asset]:
    """What was built, by address relative to the page.

    Raises:
        TfeffError: the built page is not there: the installation is not whole.
    """
    if not (BUILT / "index.html").is_file():
        raise TfeffError(
            f"{BUILT}: the page's files are missing", "reinstall tfeff, or build them: npm ci && npm run build in page/"
        )
    assets = {}
    for path in sorted(path for path in BUILT.rglob("*") if path.is_file()):
        address = path.relative_to(BUILT).as_posix()
        packed = address.endswith(".gz")
        address = address.removesuffix(".gz")
        # LiteRT's folder carries its version in its name.
        lasting = address.startswith("litert-")
        assets[address] = Asset(path.read_bytes(), _type(address), packed, lasting)
    return assets


def site(files: Sequence[str | Path], *, samples: str | Path | None = None, collect: bool = False) -> dict[str, Asset]:
    """All files of a page that runs some artifacts, by address relative to the page.

    Args:
        files: artifacts with float32 input and output (`--target web`, or float); the float twin of each is taken too.
        samples: a folder of images to choose from; without one, those bundled for the artifacts' data set.
        collect: whether the page offers to send its times to the server.

    Raises:
        TfeffError: an artifact that a browser cannot run or that has no record with its preprocessing; a folder without
            images.
    """
    if not files:
        raise TfeffError("page: no artifact to show", "give one or more .tflite files that `tfeff export` wrote")
    assets = page_assets()
    models = []
    for artifact in unique(open_artifact(file) for file in files):
        model, data = _model(artifact)
        models.append(model)
        assets |= data
    chosen = _samples(models, Path(samples) if samples else None)
    for address, _, data, _ in chosen:
        assets[address] = Asset(data, "image/png", lasting=True)
    if collect:
        for model in models:
            first = model["files"][0]["sha256"]
            data = _probe(model, [image for _, _, _, image in chosen]).tobytes()
            assets[f"probes/{first}.bin"] = Asset(data, _type(".bin"))
    litert = next(address for address in assets if address.startswith("litert-")).partition("/")[0]
    listed = {
        "litert": litert + "/",
        "models": models,
        "samples": [{"url": address, "name": name} for address, name, _, _ in chosen],
        "collect": collect,
        "tall_first": tall_first(),
        # Without LiteRT's own files: the page keeps the one build that this browser takes.
        "assets": sorted({address for address in assets if not address.startswith((litert, "probes/"))} | {LIST}),
    }
    assets[LIST] = Asset(json.dumps(listed, indent=1, allow_nan=False).encode(), _type(LIST))
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
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        for address, asset in assets.items():
            path = new / address
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(asset.plain)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise TfeffError(
            f"{folder}: cannot be written ({error.strerror})", "choose a folder you can write to"
        ) from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return [folder / address for address in assets]


def unique(artifacts) -> list[Artifact]:
    """Each file once, in order."""
    return list({artifact.sha256: artifact for artifact in artifacts}.values())


def browser_artifact(artifact: Artifact) -> dict[str, Any]:
    """The record of an artifact that a browser can run.

    Raises:
        TfeffError: no record, no preprocessing in it, or a door that is not float32.
    """
    record = artifact.record
    if record is None:
        raise TfeffError(
            f"{artifact.path}: has no record beside it, so the page would not know its preprocessing",
            "give an artifact that `tfeff export` wrote",
        )
    for side in ("input", "output"):
        door = record.get(side)
        dtype = door.get("dtype") if isinstance(door, dict) else None
        if dtype != "float32":
            raise TfeffError(
                f"{artifact.path}: its {side} is {dtype}; a browser's LiteRT takes float32 only",
                "export it with `--target web`: int8 inside, float32 at the door",
            )
    shape = record["input"].get("shape")
    if not isinstance(shape, list) or len(shape) != 4 or shape[0] != 1:
        raise TfeffError(
            f"{artifact.path}: its input is {shape}, not one image (1, h, w, c)", "export an image network"
        )
    return record


def _model(artifact: Artifact) -> tuple[dict[str, Any], dict[str, Asset]]:
    from tfeff.data.preprocessing import Preprocessing

    record = browser_artifact(artifact)
    try:
        preprocessing = Preprocessing.from_dict(record.get("preprocessing"))
    except TfeffError as error:
        raise TfeffError(f"{artifact.path}: {error.what}", "export it anew, with its preprocessing") from None
    if [1, *preprocessing.shape] != record["input"]["shape"]:
        raise TfeffError(
            f"{artifact.path}: its preprocessing gives {list(preprocessing.shape)}, its input is "
            f"{record['input']['shape']}",
            "export it anew",
        )
    labels = record.get("labels")
    labels = [str(label) for label in labels] if isinstance(labels, list) else None
    twin = verify_twin(artifact)
    float_twin = record.get("float_twin") or {}
    parts = [(str(record.get("precision") or "float32"), artifact.path, artifact.sha256)]
    if twin is not None:
        parts.insert(0, ("float32", twin, float_twin["sha256"]))
    files, assets = [], {}
    for precision, path, sha256 in parts:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise TfeffError(f"{path}: was replaced while it was read", "run the command again")
        address = f"files/{sha256}.tflite"
        assets[address] = Asset(data, _type(address), lasting=True)
        files.append({"precision": precision, "url": address, "sha256": sha256, "size_bytes": len(data)})
        files[-1]["name"] = path.name
    accuracy = record.get("accuracy") if isinstance(record.get("accuracy"), dict) else None
    wanted = ("dataset", "samples", "float_top1", "quantized_top1", "delta", "ci95")
    model = {
        "name": str(record.get("preset") or record.get("network") or artifact.path.stem),
        "labels": labels,
        "dataset": str(record.get("dataset") or ""),
        "preprocessing": preprocessing.as_dict(),
        "logits": record["output"].get("name") == "logits",
        "accuracy": {name: accuracy.get(name) for name in wanted} if accuracy else None,
        "files": files,
    }
    return model, assets


def _samples(models: list[dict[str, Any]], folder: Path | None) -> list[tuple[str, str, bytes, Any]]:
    """(address, name, PNG, the image) of the images to choose from."""
    if folder is not None:
        from tfeff.data.images import list_images, read_image

        if not folder.is_dir():
            raise TfeffError(f"{folder}: no such folder", "give a folder of images with --samples")
        paths = list_images(folder)
        if not paths:
            raise TfeffError(f"{folder}: holds no image", "give a folder of PNG, JPEG ... files")
        named = [(path.stem, read_image(path)) for path in paths[:SAMPLES]]
    elif any(model["dataset"].startswith("fashion_mnist") for model in models):
        from tfeff.data.fashion_mnist import CLASSES, load_sample

        sample = load_sample("test")
        firsts = [next(n for n in range(len(sample)) if sample.labels[n] == c) for c in range(len(CLASSES))]
        named = [(CLASSES[c], sample.image(n)) for c, n in enumerate(firsts)]
    else:
        named = []
    encoded = [(name, _png(image), image) for name, image in named]
    return [
        (f"samples/{hashlib.sha256(data).hexdigest()[:16]}.png", name, data, image) for name, data, image in encoded
    ]


def tall_first() -> bool:
    """Whether this Pillow resizes columns before rows where the height loses more; the page then does so too.

    Since 13.0 (`ImagingResampleInner`); roundings differ by 1 here and there.
    """
    import PIL

    return int(PIL.__version__.partition(".")[0]) >= 13


def probes(assets: dict[str, Asset]) -> dict[str, Any]:
    """The inputs that `collect` compares outputs on, float32 (n, h, w, c), by the sha256 of each model's first file."""
    import numpy as np

    found = {}
    for model in json.loads(assets[LIST].data)["models"]:
        first, crop = model["files"][0]["sha256"], model["preprocessing"]["crop"]
        values = np.frombuffer(assets[f"probes/{first}.bin"].data, "<f4")
        found[first] = values.reshape(PROBES, crop["height"], crop["width"], -1)
    return found


def _probe(model: dict[str, Any], images: list[Any]):
    """Inputs of a model, float32 (PROBES, h, w, c): sample images, or noise where there are none."""
    import numpy as np

    from tfeff.data.preprocessing import Preprocessing

    preprocessing = Preprocessing.from_dict(model["preprocessing"])
    if images:
        return np.stack([preprocessing(images[n % len(images)]) for n in range(PROBES)])
    return np.random.RandomState(0).standard_normal((PROBES, *preprocessing.shape)).astype(np.float32)


def _png(image) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _stamped(assets: dict[str, Asset]) -> Asset:
    digest = hashlib.sha256()
    for address in sorted(assets):
        digest.update(address.encode() + b"\0" + hashlib.sha256(assets[address].data).digest())
    stamp = f'const VERSION = "{digest.hexdigest()[:16]}";\n'.encode()
    return Asset(stamp + assets["sw.js"].data, assets["sw.js"].type)


def _type(address: str) -> str:
    return _TYPES.get(Path(address).suffix, "application/octet-stream")

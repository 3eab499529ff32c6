"""Artifacts in, signed APK out: the app is built already (`base.apk`), only its models are missing.

`base.apk` is what `android_demo/build.py base` makes of `android_demo/`, unsigned; so whoever installed tfeff with pip
needs neither a JDK nor Android's tools nor the sources.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfeff.artifact import Artifact, open_artifact
from tfeff.demo.archive import add_files
from tfeff.demo.key import default_key_path, open_key
from tfeff.demo.self_test import SelfTest, make_self_test
from tfeff.demo.signature import sign
from tfeff.errors import TfeffError
from tfeff.files import write_whole
from tfeff.record import encode

BASE = Path(__file__).with_name("base.apk")
APPLICATION = "org.tfeff.demo"


@dataclass(frozen=True)
class DemoModel:
    """An artifact in the app: its name there, its sha256, and what this machine says of the self-test's picture."""

    name: str
    sha256: str
    answer: str


@dataclass(frozen=True)
class Demo:
    """What was built.

    Attributes:
        path, sha256, size_bytes: of the APK.
        application: its id on the phone.
        models: what is in it.
    """

    path: Path
    sha256: str
    size_bytes: int
    application: str
    models: tuple[DemoModel, ...]


def build_demo(
    artifacts: Sequence[str | Path],
    out: Path,
    *,
    image: Path | None = None,
    key: Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Demo:
    """Writes an APK that holds artifacts, their records and self-tests; whole or not at all.

    Args:
        artifacts: `.tflite` or `.json` files of `tfeff export`.
        out: the APK.
        image: the self-test's picture; without, one of our own.
        key: what signs it, made where it is missing; without, `default_key_path()`.
        force: whether a file that is there is replaced.
        progress: told (done, total) after each artifact.

    Raises:
        TfeffError: see `make_self_test` and `open_key`; two artifacts of one name, a name that Android's tools would
            not take, an `out` that is there or cannot be written.
    """
    if out.suffix.lower() != ".apk":
        raise TfeffError(f"{out}: the name of an app ends in .apk", "--out NAME.apk")
    if out.exists() and not force:
        raise TfeffError(f"{out}: exists", "choose another name, or --force")
    if not out.parent.is_dir():
        raise TfeffError(f"{out.parent}: no such folder", "make it first")
    files: dict[str, bytes] = {}
    paths: dict[str, Path] = {}
    models: list[DemoModel] = []
    for number, path in enumerate(artifacts, 1):
        artifact = open_artifact(path)
        name = artifact.path.stem
        _check_name(artifact.path, paths)
        test = make_self_test(artifact, image)
        files |= _files(artifact, test)
        paths[name] = artifact.path
        models.append(DemoModel(name, artifact.sha256, test.answer))
        progress(number, len(artifacts))
    data = sign(add_files(BASE.read_bytes(), files), open_key(key or default_key_path()))
    write_whole(out, data, force=force, mend="choose another place")
    return Demo(out, hashlib.sha256(data).hexdigest(), len(data), APPLICATION, tuple(models))


def write_app(path: Path, key: Path | None = None) -> None:
    """Writes the signed app without a model: what is pushed to a phone appears in it (docs/android-demo.md).

    Args:
        path: of the APK; replaced if it is there.
        key: as for `build_demo`.

    Raises:
        TfeffError: see `open_key`; `path` cannot be written.
    """
    write_whole(path, sign(BASE.read_bytes(), open_key(key or default_key_path())), mend="choose another place")


def _files(artifact: Artifact, test: SelfTest) -> dict[str, bytes]:
    """What lies in the APK for an artifact; its record in today's schema, whatever it was written in."""
    data = artifact.path.read_bytes()
    if artifact.record is None or hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise TfeffError(f"{artifact.path}: was replaced while it was read", "run the command again")
    name = f"assets/models/{artifact.path.stem}"
    return {
        f"{name}.tflite": data, f"{name}.json": encode(artifact.record),
        f"{name}.selftest.json": test.expected, f"{name}.selftest.png": test.picture,
    }  # fmt: skip


def _check_name(path: Path, others: Mapping[str, Path]) -> None:
    name = path.stem
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or name.endswith(".selftest"):
        raise TfeffError(
            f"{path}: the app takes names of letters, digits, '_', '.', '+' and '-'", "export it under another name"
        )
    if name in others:
        raise TfeffError(f"{path} and {others[name]}: the app cannot hold two models of one name", "rename one")

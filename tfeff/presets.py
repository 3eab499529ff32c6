"""Presets: a network with its input size, classes, weights, labels and preprocessing. Bundled ones have an alias.

A preset is a JSON file with its weight file beside it. `tfeff train` writes one; the bundled ones lie in
`weights/bundled/`. Reading one needs no TensorFlow, building its network does.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tfeff.data import Preprocessing
from tfeff.errors import TfeffError
from tfeff.files import write_whole
from tfeff.networks import create, index, registry
from tfeff.record import load_json, one_line
from tfeff.record.base import PRESET_NAME, FileName, PresetName, Sha256

BUNDLED = Path(__file__).parent / "weights" / "bundled"
SCHEMA_VERSION = 1
FIGURES = {"top1": "top-1", "map": "mAP", "ap50": "AP50"}  # what `training` holds as `float_top1`, ...
_LARGEST = 2**15  # a size or a number of classes


@dataclass(frozen=True)
class Preset:
    """A trained network.

    Attributes:
        name: `<network>.<dataset>`.
        network: the public name of the architecture.
        arguments: what the network is built with (`input_shape`, `classes`, options of the family).
        preprocessing: how an image becomes its input.
        labels: one name a class.
        dataset: what it was trained on, as `--dataset` takes it.
        weights: the weight file.
        training: how it was trained and what accuracy was measured.
        calibration_method: how its int8 ranges are found, as measured on labelled images; None where nobody has.
    """

    name: str
    network: str
    arguments: Mapping[str, Any]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    dataset: str
    weights: Path
    training: Mapping[str, Any] = field(default_factory=dict)
    calibration_method: str | None = None

    @property
    def figure(self) -> tuple[str, float]:
        """The first figure that was measured on the test samples, in percent: its key of `FIGURES`, and the value.

        Raises:
            TfeffError: its `training` has none.
        """
        for key in FIGURES:
            if isinstance(value := self.training.get(f"float_{key}"), int | float):
                return key, float(value)
        raise TfeffError(f"preset {self.name}: does not say how right it is", "train it anew")

    def build(self) -> Any:
        """The trained network: a functional `keras.Model`, (n, h, w, c) -> (n, classes) logits, or raw outputs by
        name."""
        from tfeff.weights import load_weights

        arguments = {**self.arguments, "input_shape": tuple(self.arguments["input_shape"])}
        try:
            model = create(self.network, **arguments)
        except (TypeError, ValueError, OverflowError) as error:  # an argument that the network does not have, or take
            raise TfeffError(
                f"preset {self.name}: {self.network} cannot be built ({one_line(str(error))})", "train it anew"
            ) from None
        load_weights(model, self.weights)
        return model

    def write(self, path: Path, *, force: bool = True, **extra: Any) -> None:
        """Writes the preset's JSON, whole or not at all; the weight file must lie beside it already.

        Args:
            force: whether a file that is there is replaced.
            extra: entries beside the preset's own.
        """
        value = {
            "schema_version": SCHEMA_VERSION,
            "preset": self.name,
            **extra,
            "network": self.network,
            "arguments": dict(self.arguments),
            "preprocessing": self.preprocessing.as_dict(),
            "labels": list(self.labels),
            "dataset": self.dataset,
            "weights": {"file": self.weights.name, "sha256": _sha256(self.weights)},
            "training": dict(self.training),
        }
        if self.calibration_method is not None:
            value["calibration_method"] = self.calibration_method
        text = json.dumps(value, indent=1, allow_nan=False) + "\n"
        write_whole(path, text.encode(), force=force, mend="choose another folder")


def list_presets(task: str | None = None) -> dict[str, Path]:
    """Names of the bundled presets -> their JSON files; those of one task, such as "detection", or all."""
    found = {path.stem: path for path in sorted(BUNDLED.glob("*.json"))}
    return found if task is None else {name: path for name, path in found.items() if _task(path) == task}


def aliases(task: str | None = None) -> dict[str, str]:
    """Short names -> bundled presets: `vargnet` -> `vargnet_v1_025_g8.fashion_mnist`; those of one task, or all."""
    return {
        alias: name
        for name, path in list_presets(task).items()
        for alias in json.loads(path.read_text(encoding="utf-8")).get("aliases", [])
    }


def _task(path):
    return index()[json.loads(path.read_text(encoding="utf-8"))["network"]]["task"]


def load_preset(name: str | Path) -> Preset:
    """A bundled preset by name or alias, or any preset by the path of its JSON file.

    Raises:
        TfeffError: an unknown name, or a file that is damaged or whose weights are missing or changed.
    """
    bundled = list_presets()
    path = bundled.get(aliases().get(str(name), str(name)))
    if path is None:
        path = Path(name)
        if path.suffix == ".json" and not path.is_file():
            raise TfeffError(f"preset {path}: no such file", "give the .json that `tfeff train` wrote")
        if path.suffix != ".json":
            known = [*aliases(), *bundled, *index()]
            raise registry.unknown_name("preset", str(name), known, "`tfeff list` shows networks and presets")
    return _read(path)


class _Weights(msgspec.Struct):
    file: FileName
    sha256: Sha256


class _File(msgspec.Struct):
    """What a preset's JSON holds; anybody may have written it. What else it holds is passed over."""

    preset: PresetName
    network: str
    arguments: dict[str, Any]
    preprocessing: dict[str, Any]
    labels: list[str]
    dataset: str
    weights: _Weights
    training: dict[str, Any]
    calibration_method: str | None = None


def _read(path):
    try:
        value = load_json(path)
        version = value.get("schema_version")
        if version != SCHEMA_VERSION:
            raise TfeffError(f"preset {path}: schema version {str(version)[:20]}", "update tfeff, or train anew")
        if isinstance(name := value.get("preset"), str) and not re.fullmatch(PRESET_NAME, name):
            raise ValueError(f"the name {name[:60]!r} is no plain name of a file")
        told = msgspec.convert(value, _File)
        preset = Preset(
            name=told.preset,
            network=told.network,
            arguments=_checked(told.arguments),
            preprocessing=Preprocessing.from_dict(told.preprocessing),
            labels=tuple(told.labels),
            dataset=told.dataset,
            weights=path.with_name(told.weights.file),
            training=told.training,
            calibration_method=told.calibration_method,
        )
        sha256 = told.weights.sha256
        if tuple(preset.arguments["input_shape"]) != preset.preprocessing.shape:
            raise ValueError(f"input_shape {preset.arguments['input_shape']} is not what preprocessing gives")
        if len(preset.labels) != preset.arguments["classes"]:
            raise ValueError(f"{len(preset.labels)} labels for {preset.arguments['classes']} classes")
    except (OSError, ValueError) as error:  # msgspec's and json's are ValueErrors
        raise TfeffError(f"preset {path}: damaged ({one_line(str(error))})", "train it anew") from None
    if not preset.weights.is_file():
        raise TfeffError(f"preset {path}: its weights {preset.weights} are missing", "put the file back beside it")
    if _sha256(preset.weights) != sha256:
        raise TfeffError(f"preset {path}: {preset.weights.name} is not the file it was made with (sha256 differs)")
    return preset


def _checked(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a network: sizes that a machine can hold, and plain values."""
    arguments = {"input_shape": None, "classes": None, **arguments}
    shape, classes = arguments["input_shape"], arguments["classes"]
    sizes = shape if isinstance(shape, list) and len(shape) == 3 else [None]
    if not all(type(size) is int and 0 < size <= _LARGEST for size in [*sizes, classes]):
        raise ValueError(f"arguments: input_shape {str(shape)[:60]} and classes {str(classes)[:20]} are no sizes")
    for name, value in arguments.items():
        if name != "input_shape" and not isinstance(value, str | bool | int | float | None):
            raise ValueError(f"arguments: {name[:60]!r} is no plain value")
    return arguments


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

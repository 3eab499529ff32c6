"""Presets: a network with its input size, classes, weights, labels and preprocessing. Bundled ones have an alias.

A preset is a JSON file with its weight file beside it. `tfeff train` writes one; the bundled ones lie in
`weights/bundled/`. Reading one needs no TensorFlow, building its network does.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfeff.data import Preprocessing
from tfeff.errors import TfeffError
from tfeff.networks import create, index, registry

BUNDLED = Path(__file__).parent / "weights" / "bundled"
SCHEMA_VERSION = 1


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

    def build(self) -> Any:
        """The trained network: a functional `keras.Model`, (n, h, w, c) -> (n, classes) logits."""
        from tfeff.weights import load_weights

        arguments = {**self.arguments, "input_shape": tuple(self.arguments["input_shape"])}
        model = create(self.network, **arguments)
        load_weights(model, self.weights)
        return model

    def write(self, path: Path, **extra: Any) -> None:
        """Writes the preset's JSON, whole or not at all; the weight file must lie beside it already."""
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
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise TfeffError(f"preset {path}: cannot be written ({error.strerror})", "choose another folder") from None
        finally:
            temporary.unlink(missing_ok=True)


def list_presets() -> dict[str, Path]:
    """Names of the bundled presets -> their JSON files."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.json"))}


def aliases() -> dict[str, str]:
    """Short names -> bundled presets: `vargnet` -> `vargnet_v1_025_g8.fashion_mnist`."""
    return {
        alias: name
        for name, path in list_presets().items()
        for alias in json.loads(path.read_text(encoding="utf-8")).get("aliases", [])
    }


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


def _read(path):
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["schema_version"] != SCHEMA_VERSION:
            raise TfeffError(f"preset {path}: schema version {value['schema_version']}", "update tfeff, or train anew")
        preset = Preset(
            name=value["preset"],
            network=value["network"],
            arguments=value["arguments"],
            preprocessing=Preprocessing.from_dict(value["preprocessing"]),
            labels=tuple(value["labels"]),
            dataset=value["dataset"],
            weights=path.with_name(value["weights"]["file"]),
            training=value["training"],
            calibration_method=value.get("calibration_method"),
        )
        sha256 = value["weights"]["sha256"]
        if tuple(preset.arguments["input_shape"]) != preset.preprocessing.shape:
            raise ValueError(f"input_shape {preset.arguments['input_shape']} is not what preprocessing gives")
        if len(preset.labels) != preset.arguments["classes"]:
            raise ValueError(f"{len(preset.labels)} labels for {preset.arguments['classes']} classes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TfeffError(f"preset {path}: damaged ({type(error).__name__}: {error})", "train it anew") from None
    if not preset.weights.is_file():
        raise TfeffError(f"preset {path}: its weights {preset.weights} are missing", "put the file back beside it")
    if _sha256(preset.weights) != sha256:
        raise TfeffError(f"preset {path}: {preset.weights.name} is not the file it was made with (sha256 differs)")
    return preset


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

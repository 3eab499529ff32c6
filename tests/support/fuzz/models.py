"""Keras files, presets and weights as strangers leave them."""

import io
import json
import random
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np

from fuzz.hostile import INTEGERS, change_json, change_kindly, damaged, json_text

NETWORK = "shiftresnet_20_e1"
MODULES = ("keras_cv", "keras_hub.layers", "mine", "os", "subprocess", "builtins", "keras.utils", "tensorflow")


def write_models(folder: Path) -> None:
    """`m.keras`, `m.h5`, `m.weights.h5`, a preset, and what a module of the working folder would leave as a mark."""
    from tfeff.cli.quiet import import_tensorflow

    import_tensorflow()
    import keras

    from tfeff.networks import create
    from tfeff.presets import load_preset
    from tfeff.weights import save_weights

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        (model.save_weights if ".weights" in name else model.save)(folder / name)
    network = create(NETWORK, input_shape=(32, 32, 3), classes=10)
    save_weights(network, folder / "p.npz", metadata={})
    preset = load_preset("vargnet")
    value = json.loads((preset.weights.parent / f"{preset.name}.json").read_text())
    value |= {
        "preset": "p.x",
        "network": NETWORK,
        "arguments": {"input_shape": [32, 32, 3], "classes": 10},
        "dataset": "images.npz",
    }
    (folder / "p.json").write_text(json.dumps(value))


def write_keras(path: Path, originals: Path, random: random.Random) -> str:
    """A `.keras` or `.h5` that was changed; what was done."""
    data = (originals / f"m{path.suffix}").read_bytes()
    if path.suffix == ".h5" or random.random() < 0.2:
        path.write_bytes(damaged(data, random, [data[::-1]]))
        return f"bytes of {path.name}"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    kind = random.randrange(8)
    if kind < 3:
        config = json.loads(files["config.json"])
        for _ in range(random.choice([1, 1, 3])):
            (change_json if kind else change_kindly)(config, random)
        files["config.json"] = json_text(config, random, "/nonexistent")
    elif kind == 3:
        config = json.loads(files["config.json"])
        layer = random.choice(config["config"]["layers"])
        name = random.choice(["Evil", "system", "Popen", "Lambda", "eval", "Model", "load_model"])
        layer |= {"module": random.choice(MODULES), "registered_name": None, "class_name": name}
        files["config.json"] = json.dumps(config).encode()
    elif kind == 4:
        files[random.choice(["../../secret/x", "/tmp/x", "assets/../../x", "a\nb", "x" * 300])] = b"x"
    elif kind == 5:
        del files[random.choice(list(files))]
    elif kind == 6:
        name = random.choice(list(files))
        files[name] = damaged(files[name], random, list(files.values()))
    else:
        files["model.weights.h5"] = b"\0" * 20_000_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    if random.random() < 0.1:  # a size that is not true, in the directory
        data = bytearray(path.read_bytes())
        place = data.find(b"PK\x01\x02")
        data[place + 20 : place + 28] = struct.pack("<II", *random.choices([0, 2**31, 2**32 - 1], k=2))
        path.write_bytes(data)
    return f"{path.name}, kind {kind}"


def write_weights(path: Path, originals: Path, random: random.Random) -> str:
    """The preset's weights, changed; what was done."""
    with np.load(originals / "p.npz") as archive:
        arrays = dict(archive.items())
    kind, name = random.randrange(6), random.choice(list(arrays))
    if kind == 0:
        arrays[name] = np.array([object()], object) if random.random() < 0.5 else arrays[name].astype("U")
    elif kind == 1:
        arrays[name] = arrays[name].astype(random.choice([np.float64, np.int8, np.complex64, "M8[s]"]))
    elif kind == 2:
        arrays[name] = np.full_like(arrays[name], random.choice([np.nan, np.inf, 1e38]))
    elif kind == 3:
        arrays[name] = arrays[name].reshape(-1)[:-1]
    elif kind == 4:
        arrays[random.choice(["\x1b]0;x\x07", "a\nb", "../../secret/x"])] = arrays.pop(name)
    file = io.BytesIO()
    np.savez(file, **arrays)
    data = file.getvalue()
    path.write_bytes(damaged(data, random, [data[::-1]]) if kind == 5 else data)
    return f"weights, kind {kind}"


def write_preset(folder: Path, originals: Path, random: random.Random) -> str:
    """A preset `p.json` and its weights, of which one is changed; what was done."""
    from tfeff.presets import _sha256

    value, what = json.loads((originals / "p.json").read_text()), "weights"
    if random.random() < 0.3:
        what = write_weights(folder / "p.npz", originals, random)
    else:
        shutil.copy(originals / "p.npz", folder)
    value["weights"] = {"file": "p.npz", "sha256": _sha256(folder / "p.npz")}
    if what == "weights":
        what, change = "preset", random.choice([change_json, change_kindly])
        for _ in range(random.choice([1, 1, 2])):
            if random.random() < 0.5:
                change(value, random)
            else:
                owner = value[random.choice(["arguments", "preprocessing", "weights"])]
                (change if isinstance(owner, dict) and owner else change_json)(owner, random)
        if random.random() < 0.1:
            value["arguments"] = {"input_shape": [random.choice(INTEGERS)] * 3, "classes": random.choice(INTEGERS)}
    (folder / "p.json").write_bytes(json_text(value, random, str(folder.parent / "secret")))
    return what

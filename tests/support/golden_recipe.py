"""The golden files: state dicts that anyone rebuilds from a recipe, and the logits of reference implementations.

`golden/<stem>.json` has the state dict's entries and shapes, `golden/<stem>.npz` the logits of the reference for the
seed. The recipe, for an entry `name` of shape `shape`: a generator of its own, seeded with crc32(name) and the seed;
then, first rule that fits,

    ends with running_mean      standard normal * 0.1
    ends with running_var       uniform in [0.5, 1.5)
    two or more dimensions      standard normal * sqrt(2 / fan_in), fan_in = prod(shape[1:])
    ends with weight            uniform in [0.5, 1.5)
    anything else               standard normal * 0.1

all as float32. The images are standard normal, NCHW, from a generator seeded with [seed, 7].

`timm_*`, torchvision's (`shufflenet_v2_*`, `tv_*`) and `espnetv2_*` ran in those projects' own code; `paddle_*` in
Paddle, `megvii_*`, `authors_*` and `shiftresnet*` in PyTorch, written after the authors' code.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(stem):
    """(what the JSON says, state dict by the recipe, logits of the reference) of a pair of files."""
    told = json.loads((GOLDEN / f"{stem}.json").read_text(encoding="utf-8"))
    return told, recipe(told["state"], told["seed"]), np.load(GOLDEN / f"{stem}.npz")["logits"]


def images(told):
    """The images, (n, h, w, c)."""
    values = np.random.default_rng([told["seed"], 7]).standard_normal(told["input"]).astype(np.float32)
    return values.transpose(0, 2, 3, 1)


def recipe(shapes, seed):
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        if name.endswith("running_mean"):
            value = rng.standard_normal(shape) * 0.1
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) >= 2:
            value = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith("weight"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.standard_normal(shape) * 0.1
        state[name] = value.astype(np.float32)
    return state


def as_named_there(state, words):
    """The recipe goes by PyTorch's words; a source may have others (Paddle: `_mean` for `running_mean`)."""
    renamed = {}
    for entry, value in state.items():
        head, _, word = entry.rpartition(".")
        renamed[f"{head}.{words.get(word, word)}"] = value
    return renamed


def save_safetensors(path, state, types=None, **header):
    """The format as its specification has it, written independently of the reader."""
    data, begin = b"", 0
    for entry, value in state.items():
        data += value.tobytes()
        header[entry] = {
            "dtype": (types or {}).get(entry, "F32"), "shape": list(value.shape), "data_offsets": [begin, len(data)],
        }  # fmt: skip
        begin = len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path

"""AS-ResNet: the authors' Caffe model (jyh2986/Active-Shift), its blobs in an `.npz` as `<layer>.<number of the blob>`.

Caffe keeps a BN as two layers: `bn...` with mean, variance and the factor that both are to be divided by, and
`scale...` with gamma and beta. Where the BN has been merged into the scale, as in the deploy files, its blobs are not
there. A shift has two blobs, x (columns) first. The network takes BGR.
"""

from typing import Any

import numpy as np

from tfeff.weights.layouts import Layout

_EPSILON = 1e-5
_BLOCKS = (1, 3, 4, 6, 3)  # in stages 0 to 4; the block of stage 0 has the number 0


def caffe(model: Any) -> dict[str, str]:
    layout = {"stem": "conv0", "bn": "scale/bnlast", "logits": "fc/linear"}
    for stage, blocks in enumerate(_BLOCKS):
        layout |= {f"stage{stage}_block1_shortcut": f"conv/shortcut{stage}"}
        for block in range(1, blocks + 1):
            ours, theirs = f"stage{stage}_block{block}", f"{stage}_{block if stage else 0}"
            layout |= {f"{ours}_bn1": f"scale{theirs}", f"{ours}_conv1": f"conv{theirs}/1"}
            layout |= {f"{ours}_bn2": f"scale{theirs}/1", f"{ours}_shift": f"shift{theirs}/2"}
            layout |= {f"{ours}_conv2": f"conv{theirs}/3"}
    return layout


def _blobs(state):
    """Blobs by number -> entries by PyTorch's names."""
    found = dict(state)
    for entry in state:
        layer, _, number = entry.rpartition(".")
        if number != "0" or layer.startswith("bn"):
            continue
        blobs = [found.pop(f"{layer}.{i}") for i in range(2) if f"{layer}.{i}" in found]
        if layer.startswith("shift") and len(blobs) == 2:
            x, y = (np.reshape(blob, -1) for blob in blobs)
            found[f"{layer}.shift"] = np.stack([y, x]) if x.shape == y.shape else x
            continue
        found |= dict(zip((f"{layer}.weight", f"{layer}.bias"), blobs, strict=False))
        if layer.startswith("scale"):
            found |= _statistics(found, layer, np.size(blobs[0]))
    return found


def _statistics(found, layer, channels):
    bn = layer.replace("scale", "bn", 1)
    if f"{bn}.0" not in found:  # merged: the BN must leave its input as it is
        return {
            f"{layer}.running_mean": np.zeros(channels, np.float32),
            f"{layer}.running_var": np.full(channels, 1 - _EPSILON, np.float32),
        }
    mean, variance, factor = (found.pop(f"{bn}.{i}", None) for i in range(3))
    if variance is None or np.size(factor) != 1:
        return {}
    factor = float(np.reshape(factor, ())) or 1.0
    return {f"{layer}.running_mean": mean / factor, f"{layer}.running_var": variance / factor}


SOURCES = {"caffe": Layout(caffe, {"symmetric_padding": True}, adapt=_blobs)}

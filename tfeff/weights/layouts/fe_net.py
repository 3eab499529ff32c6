"""FE-Net: the released code (hikvision-research/SparseShiftLayer), whose expansion multiplies the output channels.

It keeps a shift as two vectors, `a` (rows) and `b` (columns).
"""

from typing import Any

import numpy as np

from tfeff.weights.layouts import Layout

_UNITS = {3: 3, 4: 4, 5: 4, 6: 4, 7: 3}  # our block -> units; the first two blocks are single units
_STRIDE_1 = (1, 5, 7)  # blocks whose last unit shifts; the others pool


def release(model: Any) -> dict[str, str]:
    layout = {"stem": "conv1", "stem_bn": "bn1", "last": "conv2", "last_bn": "bn2", "logits": "fc"}
    layout |= _unit("block1_unit1", "ibssl") | _unit("block2_unit1", "ibpool")
    for block, units in _UNITS.items():
        for unit in range(1, units + 1):
            last = "ibssl" if block in _STRIDE_1 else "ibpool"
            layout |= _unit(
                f"block{block}_unit{unit}", f"feblock{block - 2}.{last if unit == units else f'resibssl_{unit}'}"
            )
    return layout


def _unit(ours, theirs):
    layout = {f"{ours}_shift": f"{theirs}.shift2"}
    for number in (1, 2):
        layout |= {f"{ours}_conv{number}": f"{theirs}.conv{number}", f"{ours}_conv{number}_bn": f"{theirs}.bn{number}"}
    return layout


def _stacked(state):
    """`shift2.a` and `shift2.b` of [c] -> `shift2.shift` of [2, c]."""
    state = dict(state)
    for entry in [entry for entry in state if entry.endswith(".shift2.a")]:
        stem = entry.removesuffix("a")
        if f"{stem}b" in state and np.shape(state[f"{stem}b"]) == np.shape(state[entry]):
            state[f"{stem}shift"] = np.stack([state.pop(entry), state.pop(f"{stem}b")])
    return state


SOURCES = {"release": Layout(release, {"symmetric_padding": True, "expansion_on": "output"}, adapt=_stacked)}

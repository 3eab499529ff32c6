"""Group convolution: native, split, merged into wider groups, or one dense convolution.

`split` is SPLIT, one convolution a group, CONCATENATION: for runtimes whose int8 kernel for grouped CONV_2D is the
reference one (tflite-runtime 2.14), or that have none. `mergeN` joins neighbouring groups until a part reads at least N
channels, with zeros where they do not meet: fewer, fuller convolutions for a wide systolic array. `dense` joins all.
BN and ReLU behind the convolution go into each part: behind the CONCATENATION they could not be fused any more.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.export.rewrites.matching import fold, groups_of, is_batch_norm, is_relu


class GroupConv(Rewrite):
    """Replaces `GroupConv2D` and `Conv2D(groups=...)` with more than one group; a following BN is folded."""

    name = "group_conv"
    forms = ("native", "dense", "split")

    def knows(self, form: str) -> bool:
        return super().knows(form) or (form.startswith("merge") and form[5:].isdigit() and int(form[5:]) > 0)

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return groups_of(layer) > 1

    def candidates(self, layer: Any) -> tuple[str, ...]:
        """Of the forms that come to the same number of parts, the first; a dense one up to eight times the work."""
        found = {groups_of(layer): "split"}
        for form in ("merge16", "merge32", "merge64", "dense"):
            parts = parts_of(layer, form)
            if parts > 1 or groups_of(layer) <= 8:
                found.setdefault(parts, form)
        return ("native", *found.values())

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        if groups_of(layer) < 2 or self.form_of(layer) == "native":
            return None
        chain = [layer]
        if layer.activation is keras.activations.linear:
            chain = graph.chain(layer, is_batch_norm, is_relu)
        parts = parts_of(layer, self.form_of(layer))
        return Match(chain, lambda x: _in_parts(x, parts, *chain))


def parts_of(conv: Any, form: str) -> int:
    """Convolutions that a form makes of a group convolution: a divisor of its groups."""
    groups = groups_of(conv)
    if form in ("split", "dense"):
        return groups if form == "split" else 1
    wanted, channels = int(form.removeprefix("merge")), conv.kernel.shape[2]  # channels a group
    enough = [parts for parts in range(1, groups + 1) if groups % parts == 0 and groups // parts * channels >= wanted]
    return max(enough, default=1)


def _in_parts(x, parts, conv, *rest):
    """(n, h, w, c) -> (n, h', w', f): what `conv` and the BN and ReLU in `rest` compute."""
    kernel, bias, activation = fold(conv, rest)
    kernels = _merged(kernel, groups_of(conv), parts)  # parts x (kh, kw, c/parts, f/parts)
    inputs = ops.split(x, parts, axis=-1) if parts > 1 else [x]  # (n, h, w, c) -> parts x (n, h, w, c/parts)
    outputs = []
    for number, (part, own_kernel, own_bias) in enumerate(zip(inputs, kernels, np.split(bias, parts), strict=True)):
        part_conv = layers.Conv2D(
            conv.filters // parts,
            conv.kernel_size,
            strides=conv.strides,
            padding=conv.padding,
            dilation_rate=conv.dilation_rate,
            activation=activation,
            name=f"{conv.name}_group{number}" if parts > 1 else conv.name,
        )
        outputs.append(part_conv(part))  # (n, h', w', f/parts)
        part_conv.set_weights([own_kernel, own_bias])
    return layers.Concatenate(name=f"{conv.name}_concat")(outputs) if parts > 1 else outputs[0]  # -> (n, h', w', f)


def _merged(kernel, groups, parts):
    """(kh, kw, c/groups, f) -> parts x (kh, kw, c/parts, f/parts): the groups of a part on the diagonal, else zero."""
    per_group = np.split(kernel, groups, axis=-1)  # groups x (kh, kw, c/groups, f/groups)
    height, width, channels, filters = per_group[0].shape
    together = groups // parts
    merged = np.zeros((parts, height, width, together * channels, together * filters), kernel.dtype)
    for group, weights in enumerate(per_group):
        part, place = divmod(group, together)
        merged[part, :, :, place * channels : (place + 1) * channels, place * filters : (place + 1) * filters] = weights
    return merged

"""A network's cost layer by layer, and summed over stages or blocks: the terms in which ShuffleNet V2 (arXiv
1807.11164), VarGNet (arXiv 1907.05653) and VoVNet (arXiv 1904.09730) judge a network. `docs/cost.md` defines each."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras

from tfeff.cost.counting import CONVOLUTIONS, Counts, call_madds, is_known, pixels, stored
from tfeff.cost.graph import calls
from tfeff.cost.kinds import ELEMENTWISE, KINDS, groups_of, kind_of, memory_of, values
from tfeff.cost.memory import least_memory_access, memory_access
from tfeff.cost.parts import stages, stays_a_map, widest
from tfeff.tensor_names import block_of

BY = ("layer", "stage", "block")


@dataclass(frozen=True)
class LayerCost:
    """One call of a layer.

    Attributes:
        name, type: of the layer; its class.
        kind: see `tfeff.cost.kinds`; None for what does nothing when the network is used.
        stage, block: the parts it belongs to, see `tfeff.cost.parts`.
        madds, parameters: multiply-adds; trainable values, counted at the first call of a shared layer.
        mac, least, least_grouped: memory access of a convolution or fully connected layer, the least that its
            multiply-adds need without groups, and with the groups that it has; values. 0 for all other layers.
        outputs: values of what a convolution or fully connected layer puts out, 0 for all other layers.
        role: "pointwise" or "group" for VarGNet's two sorts of convolution, else None.
        memory: values read and written, by kind.
        fragment: whether it counts as a fragment of its block (G3): a convolution or a pooling.
    """

    name: str
    type: str
    kind: str | None
    stage: str
    block: str
    madds: int
    parameters: int
    mac: int
    least: float
    least_grouped: float
    outputs: int
    role: str | None
    memory: dict[str, int]
    fragment: bool


@dataclass(frozen=True)
class Row:
    """A layer, a stage, a block or the whole network.

    Attributes:
        name: of it.
        layers: number of layer calls in it.
        madds, parameters: multiply-adds for one image; trainable values.
        mac: memory access cost of its convolutions and fully connected layers, values.
        least_mac: G1, the least for the same multiply-adds on the same maps, values.
        mac_ratio: mac / least_mac, at least 1; None where nothing multiplies.
        group_ratio: the part of `mac_ratio` that the groups are the reason of (G2); the rest is unequal ends (G1).
        fragments: convolutions and poolings (G3).
        parallel: the largest number of them of which none waits for another; 1 is a chain.
        intensity: multiply-adds / values put out, of the convolutions and fully connected layers (VarGNet).
        balance: multiply-adds of pointwise convolutions / of group convolutions (VarGNet); None without either.
        memory: values read and written by all layers, by kind.
        memory_access: their sum.
        elementwise_share: G4, the part of `memory_access` that belongs to element-wise layers; None where it is 0.
    """

    name: str
    layers: int
    madds: int
    parameters: int
    mac: int
    least_mac: float
    mac_ratio: float | None
    group_ratio: float | None
    fragments: int
    parallel: int
    intensity: float | None
    balance: float | None
    memory: dict[str, int]
    memory_access: int
    elementwise_share: float | None

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Analysis:
    """What `analyse` found out.

    Attributes:
        layers: every layer call, each after those it reads from.
        unknown: (name, class) of layers with weights whose multiply-adds are not known: counted as none.
        unlisted: (name, class) of other layers that are not listed in `tfeff.cost.kinds`: a pass over memory.
        counts: as `count` gives them, `madds` without those of `unknown`.
    """

    layers: tuple[LayerCost, ...]
    unknown: tuple[tuple[str, str], ...]
    unlisted: tuple[tuple[str, str], ...]
    counts: Counts
    _ancestors: tuple[int, ...]

    def rows(self, by: str = "stage") -> list[Row]:
        """One row a "layer", a "stage" or a "block"; layers that do nothing have none of their own."""
        if by not in BY:
            raise ValueError(f"by must be one of {', '.join(BY)}, not {by!r}")
        if by == "layer":
            return [self._row(layer.name, [n]) for n, layer in enumerate(self.layers) if layer.kind]
        parts: dict[str, list[int]] = {}
        for number, layer in enumerate(self.layers):
            parts.setdefault(getattr(layer, by), []).append(number)
        return [self._row(name, numbers) for name, numbers in parts.items()]

    @cached_property
    def total(self) -> Row:
        """The whole network."""
        return self._row("total", range(len(self.layers)))

    def _row(self, name: str, numbers: Iterable[int]) -> Row:
        numbers = list(numbers)
        layers = [self.layers[number] for number in numbers]

        def summed(attribute, chosen=layers):
            return sum(getattr(layer, attribute) for layer in chosen)

        memory: Counter[str] = Counter()
        for layer in layers:
            memory.update(layer.memory)
        fragments = [number for number in numbers if self.layers[number].fragment]
        mac, least, access = summed("mac"), summed("least"), sum(memory.values())
        pointwise, group = (
            summed("madds", [layer for layer in layers if layer.role == role]) for role in ("pointwise", "group")
        )
        outputs = summed("outputs")
        return Row(
            name=name,
            layers=len(layers),
            madds=summed("madds"),
            parameters=summed("parameters"),
            mac=mac,
            least_mac=least,
            mac_ratio=mac / least if least else None,
            group_ratio=summed("least_grouped") / least if least else None,
            fragments=len(fragments),
            parallel=widest(fragments, self._ancestors),
            intensity=summed("madds") / outputs if outputs else None,
            balance=pointwise / group if pointwise and group else None,
            memory={kind: memory[kind] for kind in KINDS if memory[kind]},
            memory_access=access,
            elementwise_share=sum(memory[kind] for kind in ELEMENTWISE) / access if access else None,
        )


def analyse(model: keras.Model) -> Analysis:
    """Takes the cost of a built Keras model apart.

    Layers that are not known do not stop it: they are named in the result.

    Raises:
        ValueError: a model without a graph, or an open image size.
    """
    found = calls(model)
    maps = stays_a_map(found)
    seen: set[int] = set()
    costs: list[LayerCost] = []
    ancestors: list[int] = []
    for call, is_map, stage in zip(found, maps, stages(found, maps, model.inputs[0].shape), strict=True):
        kind, fresh = kind_of(call), id(call.operation) not in seen
        seen.add(id(call.operation))
        weights = getattr(call.operation, "trainable_variables", ()) if fresh else ()
        costs.append(
            LayerCost(
                name=call.name,
                type=call.type,
                kind=kind,
                stage=stage,
                block=block_of(call.name),
                madds=call_madds(call),
                parameters=sum(math.prod(v.shape) for v in weights),
                **_access(call),
                role=_role(call) if is_map else None,
                memory=memory_of(call),
                fragment=kind in ("convolution", "depthwise", "pool"),
            )
        )
        before = 0
        for producer in call.producers:
            before |= ancestors[producer] | 1 << producer
        ancestors.append(before)
    unknown = [call for call in found if not is_known(call)]
    unlisted = [call for call in found if is_known(call) and kind_of(call) == "other"]
    return Analysis(
        layers=tuple(costs),
        unknown=_named(unknown),
        unlisted=_named(unlisted),
        counts=Counts(*stored(model), sum(layer.madds for layer in costs)),
        _ancestors=tuple(ancestors),
    )


def _access(call):
    layer = call.operation
    if not isinstance(layer, (*CONVOLUTIONS, keras.layers.Dense)):
        return {"mac": 0, "least": 0.0, "least_grouped": 0.0, "outputs": 0}
    source, result = call.inputs[0], call.outputs[0]
    pixels_in, pixels_out, madds = pixels(call, source), pixels(call, result), call_madds(call)
    area = 1 if isinstance(layer, keras.layers.Dense) else math.prod(layer.kernel_size)
    weights = math.prod(layer.kernel.shape)
    # A transposed convolution is one from its output to its input.
    maps = (pixels_out, pixels_in) if isinstance(layer, keras.layers.Conv2DTranspose) else (pixels_in, pixels_out)
    return {
        "mac": memory_access(pixels_in, pixels_out, source[-1], result[-1], weights),
        "least": least_memory_access(madds, *maps, area),
        "least_grouped": least_memory_access(madds, *maps, area, groups_of(call)),
        "outputs": values(call, result),
    }


def _role(call):
    """VarGNet's pair: a convolution of one pixel, and one of several pixels in groups (depthwise included)."""
    if not isinstance(call.operation, CONVOLUTIONS):
        return None
    if math.prod(call.operation.kernel_size) == 1:
        return "pointwise"
    return "group" if groups_of(call) > 1 else None


def _named(found):
    return tuple(dict.fromkeys((call.name, call.type) for call in found))

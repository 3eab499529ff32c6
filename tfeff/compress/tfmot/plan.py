"""A functional Keras 3 graph written down as a list of standard layers, which another Keras can be built from.

The two Keras cannot share a graph, and had better not share a process: `drawing.draw` writes a graph down in this one,
`tf_keras_graph.build` reads it in the other. A plan has few words (`nodes[i]["kind"]`), so that what reads it is short:
activations stand behind their layers as nodes of their own, our layers are taken apart (`vocabulary`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ref:
    """A tensor of a plan.

    Attributes:
        index: its number; 0 is the image.
        shape: with the batch, which is None.
    """

    index: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Refusal:
    """A layer that cannot be taken.

    Attributes:
        layer: its name.
        kind: the name of its class.
        why: in a few words.
    """

    layer: str
    kind: str
    why: str

    def __str__(self):
        return f"{self.layer} ({self.kind}): {self.why}"


@dataclass
class Plan:
    """A graph with one input and one output.

    Attributes:
        name: of the network.
        shape: (h, w, c) of the image.
        nodes: in topological order: `kind`, `name`, `class` (of what it was written down from), `inputs` and `output`
            (numbers of tensors), `config`, `weights` (how many), `trainable`. Numbers, words and lists only.
        weights: of every node, in tf_keras' order, by "<position of the node>/<number>".
        output: the number of the tensor that the network gives.
        source: name of the class that is being written down.
        refusals: layers that could not be written down; with any, the plan is of no use but to say so.
    """

    name: str
    shape: tuple[int, int, int]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    output: int = 0
    source: str = ""
    refusals: list[Refusal] = field(default_factory=list)

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Ref],
        shape: Sequence[Any],
        weights: Any = (),
        trainable: bool = True,
        **config: Any,
    ) -> Ref:
        """Adds a node; its name gets a number behind it where it is taken already."""
        taken = {node["name"] for node in self.nodes}
        fresh, number = name, 1
        while fresh in taken:
            number += 1
            fresh = f"{name}_{number}"
        at, output = len(self.nodes), len(self.nodes) + 1
        self.weights.update((f"{at}/{k}", np.asarray(weight, np.float32)) for k, weight in enumerate(weights))
        self.nodes.append(
            {
                "kind": kind,
                "name": fresh,
                "class": self.source,
                "inputs": [ref.index for ref in inputs],
                "output": output,
                "config": config,
                "weights": len(weights),
                "trainable": bool(trainable),
            }
        )
        return Ref(output, tuple(shape))

    def as_dict(self) -> dict[str, Any]:
        """All but the weights, for JSON."""
        return {"name": self.name, "shape": list(self.shape), "nodes": self.nodes, "output": self.output}

    def save_weights(self, path: Path) -> None:
        """Writes the weights as `.npz`."""
        arrays: dict[str, Any] = self.weights
        np.savez(path, **arrays)

"""What the detectors share: a backbone's maps, the last convolutions, and the levels of their spec."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import initializers, layers

from tfeff.layers.blocks import Taps
from tfeff.networks.registry import get_network
from tfeff.record.schema import TaskSpec
from tfeff.tasks.detection_spec import DetectionSpec, Level


def backbone_maps(
    backbone: str, input_shape: tuple[int, int, int], taps: Taps, options: Mapping[str, Any] | None, **asked: bool
) -> tuple[Any, list[Any]]:
    """A backbone of the zoo: its input, and its maps, the finest first.

    Args:
        options: what it is built with.
        asked: options besides that not every backbone has; passed on where they are true.
    """
    given = {key: value for key, value in asked.items() if value} | dict(options or {})
    model = get_network(backbone)(input_shape=input_shape, features_only=taps, **given)
    return model.input, list(model.output.values())


def stride_of(image: Any, x: Any) -> int:
    """The power of two that names a map: 64 of 7x7 of an image of 416x416. By the larger side, which tells more."""
    side, stride = 1 if image.shape[1] >= image.shape[2] else 2, 1
    while -(-image.shape[side] // stride) > x.shape[side]:
        stride *= 2
    return stride


def prediction(x: Any, channels: int, kernel: int, bias: float, name: str) -> Any:
    """The last convolution, with a bias: (n, h, w, c) -> (n, h, w, channels).

    Args:
        bias: what its biases begin with.
    """
    start = {"kernel_initializer": initializers.RandomNormal(stddev=0.01)}
    start["bias_initializer"] = initializers.Constant(bias)
    return layers.Conv2D(channels, kernel, padding="same", name=name, **start)(x)


def levels_of(model: Any, *, exact: bool, further: Sequence[str] = ()) -> list[Level]:
    """The levels that a built detector has, without anchors, by the names of its outputs: `boxes_8`, `scores_8`, ...

    Args:
        exact: a place lies at (i + 0.5) / n of the image; otherwise at (i + 0.5) strides, though these may not divide
            the image.
        further: of `Level`, names of outputs besides: "alignment" for `alignment_8`.
    """
    height, width = model.input.shape[1:3]
    found = []
    for stride in sorted(int(name.removeprefix("boxes_")) for name in model.output if name.startswith("boxes_")):
        rows, columns = model.output[f"boxes_{stride}"].shape[1:3]
        step = (height / rows, width / columns) if exact else (float(stride), float(stride))
        names: dict[str, Any] = {kind: f"{kind}_{stride}" for kind in ("boxes", "scores", *further)}
        found.append(Level(stride=stride, rows=rows, columns=columns, step=step, **names))
    return found


def task_of(spec: DetectionSpec) -> TaskSpec:
    """The spec as the record has it."""
    return TaskSpec(name="detection", outputs=spec.outputs, decode=spec.as_dict())

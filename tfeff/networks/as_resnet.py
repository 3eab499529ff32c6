"""AS-ResNet: Constructing Fast Network through Deconstruction of Convolution (arXiv 1806.07370).

A residual network in which a pointwise convolution, an active shift and a pointwise convolution stand for the spatial
convolution; each channel learns where it looks. As released (jyh2986/Active-Shift): pre-activation, no biases, stride
in the shift, and the projection of a stage's first block sees the activated input. The paper puts BN and ReLU behind
the shift, the release before it.

The published FLOPs are the multiply-adds and 4 for each shifted value in w32 and w50, but 1 in w68. A shift is counted
as nothing here, so they are no `madds`.
"""

import keras
from keras import Input, layers

from tfeff.layers import ActiveShift2D
from tfeff.layers.blocks import Taps, activate, batch_norm, classifier, conv, finish
from tfeff.networks.registry import register_networks

PAPER = "Active shift layer, arXiv 1806.07370"
_STAGES = ((1, 1, 1), (1, 3, 2), (2, 4, 2), (4, 6, 2), (8, 3, 2))  # channels / width, blocks, stride of the first
# Width -> parameters (millions), FLOPs (millions), top-1, top-5 percent
_PUBLISHED = {32: (0.90, 171, 64.1, 85.4), 50: (1.96, 404, 69.9, 89.3), 68: (3.42, 729, 72.2, 90.7)}
_VARIANTS = {
    f"as_resnet_w{width}": {
        "width": width,
        "published": {
            "parameters": round(parameters * 1e6),
            f"madds_with_{1 if width == 68 else 4}_per_shift": flops * 10**6, "top1": top1, "top5": top5,
            "source": "github.com/jyh2986/Active-Shift supplement/presentation_rev2.pdf p. 17",
        },
    }
    for width, (parameters, flops, top1, top5) in _PUBLISHED.items()
}  # fmt: skip


@register_networks("as_resnet", PAPER, _VARIANTS)
def as_resnet(
    input_shape: tuple[int, int, int] = (224, 224, 3), classes: int = 1000, *, width: int, expansion: int = 1,
    initial_radius: float = 1.0, shift_learning_rate: float = 0.01, shift_before_bn: bool = False,
    symmetric_padding: bool = False, include_top: bool = True, features_only: Taps = False, small_image: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """AS-ResNet: (n, h, w, c) -> (n, classes) logits.

    Args:
        width: channels of the stem and of the first two stages; the others have 2, 4 and 8 times as many.
        expansion: of the channels between the two convolutions of a block.
        initial_radius, shift_learning_rate: pixels, and a factor on the learning rate, see `ActiveShift2D`.
        shift_before_bn: the paper's order (shift, BN, ReLU) instead of the release's (BN, ReLU, shift).
        symmetric_padding: pad the stem on every side, as Caffe does.
        include_top, features_only: see `tfeff.layers.blocks.finish`.
        small_image: stride 1 in the stem, for inputs of 32x32 and the like.
    """
    image = Input(input_shape, name="image")
    reduction = 1 if small_image else 2
    x = conv(image, width, 3, stride=reduction, symmetric=symmetric_padding, name="stem")  # -> (n, h/2, w/2, width)
    features = {}
    for stage, (factor, blocks, first) in enumerate(_STAGES):
        channels = factor * width
        for block in range(1, blocks + 1):
            label, stride = f"stage{stage}_block{block}", first if block == 1 else 1
            shift = ActiveShift2D(stride, initial_radius, shift_learning_rate, name=f"{label}_shift")
            y = activate(batch_norm(x, f"{label}_bn1"), "relu", f"{label}_relu1")
            if stride > 1:  # the released net activates in place
                x = conv(y, channels, 1, stride=stride, name=f"{label}_shortcut")  # -> (n, h/2, w/2, channels)
            y = conv(y, expansion * channels, 1, name=f"{label}_conv1")  # (n, h, w, c) -> (n, h, w, e channels)
            if shift_before_bn:
                y = shift(y)  # -> (n, h/stride, w/stride, e channels)
            y = activate(batch_norm(y, f"{label}_bn2"), "relu", f"{label}_relu2")
            if not shift_before_bn:
                y = shift(y)  # -> (n, h/stride, w/stride, e channels)
            y = conv(y, channels, 1, name=f"{label}_conv2")  # -> (n, h/stride, w/stride, channels)
            x = layers.Add(name=f"{label}_add")([y, x])
        reduction *= first
        features[reduction] = x
    x = activate(batch_norm(x, "bn"), "relu", "relu")
    return finish(
        image, features, x, include_top=include_top, features_only=features_only, name=name,
        top=lambda x: classifier(x, classes),
    )  # fmt: skip

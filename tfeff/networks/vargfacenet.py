"""VarGFaceNet: An Efficient Variable Group Convolutional Neural Network for Lightweight Face Recognition
(arXiv 1910.04985), and the face form of VarGNet v1 (arXiv 1907.05653, section 4.5).

VarGNet's blocks for crops of 112x112: no halving in the stem, and a head that keeps the place of things instead of
averaging it away. VarGFaceNet adds PReLU, squeeze-and-excitation in every block that does not change the channels, and
a head that shrinks 1024 channels to 512 before the fully connected layer.

The output is the embedding after its BN, not normalized: ArcFace, the loss of both papers, divides by its length, and
so must whoever compares two faces. Images are scaled to (x - 127.5) / 128.
"""

import keras
from keras import Input, layers

from tfeff.layers import BatchNorm
from tfeff.layers.blocks import Taps, finish, squeeze_excite
from tfeff.networks import vargnet
from tfeff.networks.registry import register_networks

PAPER = "VarGFaceNet, arXiv 1910.04985"
_PUBLISHED = {
    "operations": 10**9, "bytes_float32": 20 << 20, "parameters": 5 << 20, "lfw": 99.683, "cfp_fp": 98.086,
    "agedb_30": 98.100, "source": "arXiv 1910.04985 Table 1 (operations: two a multiply-add, printed 1G); accuracies "
    "without distillation: zma-c-137/VarGFaceNet, README",
}  # fmt: skip


class _FaceBlocks(vargnet.Blocks):
    activation = "prelu"
    epsilon = 2e-5

    def excite(self, x, name):
        return squeeze_excite(x, x.shape[-1] // 4, gate="sigmoid", activation="prelu", name=f"{name}_se")


@register_networks("vargfacenet", PAPER, {"vargfacenet": {"width": 1.25, "published": _PUBLISHED}})
def vargfacenet(
    input_shape: tuple[int, int, int] = (112, 112, 3), classes: int = 512, *, width: float,
    channels_per_group: int = 8, symmetric_padding: bool = False, include_top: bool = True,
    features_only: Taps = False, small_image: bool = False, name: str | None = None,
) -> keras.Model:  # fmt: skip
    """VarGFaceNet (Table 1): (n, h, w, 3) -> (n, classes) embeddings.

    Args:
        classes: the length of the embedding.
        width: multiplies the channels of VarGNet v2; not the 1024 and 512 of the head.
        channels_per_group: G.
        symmetric_padding: pad stride-2 convolutions by 1 on every side, as MXNet does.
        include_top: without it, the last feature map (n, h/16, w/16, 1024).
        features_only: {"stride4": ..., "stride8": ..., "stride16": ...}, the outputs of the stages; none is at 32.
        small_image: changes nothing, the stem has stride 1 anyway.
    """
    block = _FaceBlocks(channels_per_group, symmetric_padding)
    image = Input(input_shape, name="image")
    maps = block.stages(image, width, vargnet.V2_ROWS, stem_stride=1)
    x = block.conv_bn(maps[-1], 1024, 1, name="conv5")  # -> (n, h/16, w/16, 1024)

    def top(x):
        # The kernel covers the map: (n, h/16, w/16, 1024) -> (n, 1, 1, 1024), 7x7 for images of 112x112
        x = block.conv_bn(x, 1024, x.shape[1:3], group=channels_per_group, padding="valid", relu=False, name="embed_vg")
        x = layers.Flatten(name="embed_flatten")(block.conv_bn(x, 512, 1, name="embed_pw"))  # -> (n, 512)
        return _embedding(x, classes, block.epsilon)

    return _finish(image, maps, x, top, include_top, features_only, name)


@register_networks("vargfacenet", vargnet.PAPER, {"face_vargnet_v1_100_g8": {"width": 1.0, "channels_per_group": 8}})
def face_vargnet_v1(
    input_shape: tuple[int, int, int] = (112, 112, 3), classes: int = 256, *, width: float, channels_per_group: int,
    symmetric_padding: bool = False, include_top: bool = True, features_only: Taps = False, small_image: bool = False,
    name: str | None = None,
) -> keras.Model:  # fmt: skip
    """VarGNet v1 for faces: (n, h, w, 3) -> (n, classes) embeddings. Arguments as for `vargfacenet`.

    The text gives the head as BN, dropout 0.4, fully connected, BN. Whether conv5 stays before it is not said; it does
    here.
    """
    block = vargnet.Blocks(channels_per_group, symmetric_padding)
    image = Input(input_shape, name="image")
    maps = block.stages(image, width, vargnet.V1_ROWS, stem_stride=1)
    x = block.conv_bn(maps[-1], vargnet.conv5_channels(width), 1, name="conv5")  # -> (n, h/16, w/16, 1024)

    def top(x):
        x = BatchNorm(momentum=0.9, epsilon=block.epsilon, name="embed_bn")(x)
        x = layers.Dropout(0.4, name="embed_dropout")(x)
        # (n, h/16, w/16, 1024) -> (n, 50176) for images of 112x112
        return _embedding(layers.Flatten(name="embed_flatten")(x), classes, block.epsilon)

    return _finish(image, maps, x, top, include_top, features_only, name)


def _embedding(x, length, epsilon):
    """(n, c) -> (n, length), fully connected with a bias, then BN, as in the authors' code."""
    x = layers.Dense(length, name="embed_fc")(x)
    return BatchNorm(momentum=0.9, epsilon=epsilon, name="embedding")(x)


def _finish(image, maps, x, top, include_top, features_only, name):
    features = dict(zip((2, 4, 8, 16), maps, strict=True))
    return finish(image, features, x, include_top=include_top, features_only=features_only, name=name, top=top)

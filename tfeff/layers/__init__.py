"""Keras 3 layers that the papers need and Keras lacks. Importing registers them for `keras.saving`."""

from tfeff.layers.batch_norm import BatchNorm
from tfeff.layers.channel_shuffle import ChannelShuffle, ChannelSplit
from tfeff.layers.constant import Constant
from tfeff.layers.depth_space import DepthToSpace, SpaceToDepth
from tfeff.layers.group_conv import GroupConv2D
from tfeff.layers.resize import Resize2D
from tfeff.layers.shift import ActiveShift2D, GroupShift2D, SparseShift2D
from tfeff.layers.strided_dilated import StridedDilatedDepthwiseConv2D
from tfeff.layers.up_sampling import NearestUpSampling2D

__all__ = [
    "ActiveShift2D",
    "BatchNorm",
    "ChannelShuffle",
    "ChannelSplit",
    "Constant",
    "DepthToSpace",
    "GroupConv2D",
    "GroupShift2D",
    "NearestUpSampling2D",
    "Resize2D",
    "SpaceToDepth",
    "SparseShift2D",
    "StridedDilatedDepthwiseConv2D",
]

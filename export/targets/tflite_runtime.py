"""tflite-runtime 2.14, the last release of the old package. Its int8 kernel for grouped CONV_2D is the reference one,
so group convolutions are split; its depthwise kernel is slow, so shifts become slices where the size of the map is
known."""

from tfeff.export.checking import tflite_runtime
from tfeff.export.targets import Target

TARGET = Target(
    name="tflite-runtime",
    summary="tflite-runtime 2.14 on CPU; group convolutions are split, shifts are slices",
    check=tflite_runtime.check,
    rewrites=("silu", "slice_shift", "freeze_shift", "channel_shuffle:fold", "prelu:maximum", "group_conv:split"),
)

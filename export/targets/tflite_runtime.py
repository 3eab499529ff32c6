"""tflite-runtime 2.14, the last release of the old package. Its int8 kernel for grouped CONV_2D is the reference one,
so group convolutions are split; its depthwise kernel is slow, so shifts become slices where the size of the map is
known."""

from tfeff.export.targets import Target, older_runtime

TARGET = Target(
    name="tflite-runtime",
    summary="tflite-runtime 2.14 on CPU; group convolutions are split, shifts are slices",
    rewrites=("slice_shift", "freeze_shift", "group_conv:split"),
    problems=lambda graph: older_runtime(graph, (2, 14, 0), "tflite-runtime 2.14"),
)

"""tflite-runtime 2.14, the last release of the old package. Its int8 kernel for grouped CONV_2D is the reference one,
so group convolutions are split; its depthwise kernel is slow, so shifts become slices where the size of the map is
known."""

from tfeff.export.targets import Target
from tfeff.export.targets.tflite_runtime import rules

TARGET = Target(
    name="tflite-runtime",
    summary="tflite-runtime 2.14 on CPU; group convolutions are split, shifts are slices",
    check=rules.check,
    rewrites=(
        "split_output",
        "slice_shift",
        "freeze_shift",
        "channel_shuffle:fold",
        "padding:free",
        "batch_norm:depthwise",
        "group_conv:split",
        "global_pool:keepdims",
        "classifier:conv",
    ),
    because={
        "split_output": "scores and boxes of one convolution would share a scale; each gets its own",
        "slice_shift": "copies are cheaper than its int8 depthwise kernel",
        "freeze_shift": "no converter takes a learned shift; for maps of unknown size",
        "channel_shuffle": "no slower than TRANSPOSE, and five-dimensional spellings go",
        "padding": "a PAD less where SAME is the same",
        "batch_norm": "one operation in place of MUL and ADD",
        "group_conv": "its int8 kernel for grouped CONV_2D is the reference one",
        "global_pool": "its MEAN that drops dimensions is the reference one",
        "classifier": "its CONV_2D is quicker than its FULLY_CONNECTED",
    },
    rests_on="times in [benchmarks.md](benchmarks.md), x86-64; operations and versions: tflite-runtime 2.14.0",
)

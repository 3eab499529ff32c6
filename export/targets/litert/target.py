"""LiteRT on a CPU: ai-edge-litert here, and the runtime inside current Android apps.

XNNPACK takes int8 group convolutions natively and depthwise convolutions of up to 25 taps fast. It has no int8 kernel
for HARD_SWISH, PRELU, AVERAGE_POOL_2D and slices with a stride: those run in LiteRT's own, several times slower.
"""

from tfeff.export.targets import Target
from tfeff.export.targets.common.asking import ask_litert
from tfeff.export.targets.litert import rules

TARGET = Target(
    name="litert",
    summary="LiteRT 2.x on CPU with XNNPACK; group convolutions stay native",
    check=rules.check,
    ask=ask_litert,
    rewrites=(
        "split_output",
        "freeze_shift",
        "channel_shuffle:fold",
        "hard_swish:add_mul",
        "prelu:add",
        "strided_dilated:depthwise",
        "average_pool:depthwise",
        "batch_norm:depthwise",
        "concatenation:sink",
        "ghost_module:double",
    ),
    finer={"prelu:add": "prelu:maximum"},
    because={
        "split_output": "scores and boxes of one convolution would share a scale; each gets its own",
        "freeze_shift": "no converter takes a learned shift; XNNPACK's depthwise kernels are quick up to 25 taps",
        "channel_shuffle": "a shuffle is a RESHAPE, a TRANSPOSE and a RESHAPE; slices copy less",
        "hard_swish": "XNNPACK has no int8 kernel for HARD_SWISH, it has for ADD and MUL",
        "prelu": "XNNPACK has no int8 kernel for PRELU, it has for DEPTHWISE_CONV_2D and ADD",
        "strided_dilated": "XNNPACK takes no stride in STRIDED_SLICE",
        "average_pool": "XNNPACK has no int8 kernel for AVERAGE_POOL_2D",
        "batch_norm": "one operation in place of MUL and ADD",
        "concatenation": "less to copy behind a stride",
        "ghost_module": "its kernels work on 16 channels at a time; with 8, half of that is idle",
    },
    rests_on="times in [benchmarks.md](benchmarks.md), x86-64; what XNNPACK takes: ai-edge-litert 2.3.0, x86-64",
)

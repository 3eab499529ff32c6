"""LiteRT on a CPU: ai-edge-litert here, and the runtime inside current Android apps.

XNNPACK takes int8 group convolutions natively and depthwise convolutions of up to 25 taps fast. It has no int8 kernel
for HARD_SWISH, PRELU, AVERAGE_POOL_2D and slices with a stride: those run in LiteRT's own, several times slower.
"""

from tfeff.export.checking import litert
from tfeff.export.targets import Target

TARGET = Target(
    name="litert",
    summary="LiteRT 2.x on CPU with XNNPACK; group convolutions stay native",
    check=litert.check,
    rewrites=("silu", "freeze_shift", "channel_shuffle:fold", "hard_swish:add_mul", "prelu:maximum"),
)

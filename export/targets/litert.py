"""LiteRT on a CPU: ai-edge-litert here, and the runtime inside current Android apps. XNNPACK takes int8 group
convolution natively and depthwise convolutions of up to 25 taps fast, so shifts become those and nothing else is
rewritten."""

from tfeff.export.targets import Target

TARGET = Target(
    name="litert",
    summary="LiteRT 2.x on CPU with XNNPACK; group convolutions stay native",
    rewrites=("freeze_shift",),
)

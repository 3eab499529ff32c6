"""LiteRT.js in a browser: LiteRT and XNNPACK in WebAssembly, behind a door of float32, for it takes no int8 there."""

from tfeff.export.targets import Target
from tfeff.export.targets.litert import TARGET as LITERT
from tfeff.export.targets.web import rules

TARGET = Target(
    name="web",
    summary="LiteRT.js in a browser: as litert, with float32 at the door",
    check=rules.check,
    ask=rules.ask,
    rewrites=LITERT.rewrites,
    finer=LITERT.finer,
    because=LITERT.because,
    rests_on="as `litert`; the door: the source of `@litertjs/core` 2.5.3; no browser",
    no_nms="was not seen to run TFLite_Detection_PostProcess",
    io="float32",
)

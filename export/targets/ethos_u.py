"""Arm's Ethos-U NPUs by way of Vela, which takes group convolution, hard-swish, PReLU and TRANSPOSE as they are. What it
does not take runs on the microcontroller's core: GATHER, slices with a stride along the channels, and on U55 and U65 a
channel shuffle as a TRANSPOSE of five dimensions once the map is large (28x28x244, 56x56x64)."""

from tfeff.export.checking import ethos_u
from tfeff.export.targets import Target

TARGET = Target(
    name="ethos-u",
    summary="Arm Ethos-U55, U65 and U85 NPUs by way of Vela; full int8",
    rewrites=("freeze_shift",),
    check=ethos_u.check,
)

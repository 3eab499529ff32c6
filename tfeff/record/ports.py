"""What a file takes and gives, what that means, and the float file beside it."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from tfeff.record.base import Count, Details, FileName, NotNegative, Part, Sha256

# numpy's names, without those of types that no kernel takes.
Dtype = Annotated[str, Meta(pattern="^(bool|u?int(8|16|32|64)|float(16|32|64))$")]


class Resize(Part, kw_only=True):
    """Pillow's resize: `exact` to height x width; proportions kept, `cover` or `fit`.

    Attributes:
        fill: pixel value around the image after `fit`; 114 where it is not said.
    """

    mode: Literal["exact", "cover", "fit"]
    height: Annotated[int, Meta(ge=1)]
    width: Annotated[int, Meta(ge=1)]
    filter: Literal["bilinear"] = "bilinear"
    fill: Annotated[int, Meta(ge=0, le=255)] | UnsetType = UNSET

    @property
    def filled(self) -> int:
        """`fill`, said or not."""
        return 114 if self.fill is UNSET else self.fill


class Crop(Part, kw_only=True):
    """The centre is cut out; after `fit`, what the image is filled up to."""

    mode: Literal["center"] = "center"
    height: Annotated[int, Meta(ge=1)]
    width: Annotated[int, Meta(ge=1)]


class Preprocessing(Part, kw_only=True):
    """How an 8-bit image becomes an input: see `tfeff.data.Preprocessing`."""

    resize: Resize
    crop: Crop
    colour: Literal["rgb", "bgr", "gray"]
    mean: list[float]
    std: list[float]


class Port(Part, kw_only=True):
    """A named input or output of the file.

    Attributes:
        name: in the signature `serving_default`.
        shape: with the batch, which is 1.
        dtype: numpy's name of it.
        scale, zero_point: real = (stored - zero_point) * scale; 0.0 and 0 where the numbers are not quantized.
        preprocessing: of an image input; null for any other port.
    """

    name: str
    shape: list[Count]
    dtype: Dtype
    scale: float = 0.0
    zero_point: int = 0
    preprocessing: Preprocessing | None = None


class TaskSpec(Part, kw_only=True):
    """What some outputs mean.

    Attributes:
        name: of a file in `tfeff.tasks`.
        outputs: names of the ports that it reads, in the order in which it reads them.
        labels: names of the classes; empty when unknown, or where there are none.
        decode: the numbers by which outputs become an answer; each task says which.
    """

    name: str
    outputs: list[str]
    labels: list[str] = []
    decode: Details = {}


class FloatTwin(Part, kw_only=True):
    """The float file that the artifact is compared with."""

    file: FileName
    sha256: Sha256
    size_bytes: Count | None = None
    rewrites: list[str] = []
    max_abs_error: NotNegative | None = None
    relative_error: NotNegative | None = None

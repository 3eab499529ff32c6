"""Preprocessing as far as somebody said it: what the options of commands mean for an input of a known size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfeff.data.preprocessing import Preprocessing
from tfeff.errors import TfeffError

Size = tuple[int, int]  # (h, w)


@dataclass(frozen=True)
class Pixels:
    """How images become an input, where no preset or record says it; None where it was not said.

    Attributes:
        mean, std: one number, or one a channel, in pixel values (0..255).
        colour: "rgb", "bgr" or "gray"; else rgb or gray by the number of channels.
        resize: ("exact", "cover" or "fit", which may say its filling, as in "fit:0"; (h, w) or None for the input's
            size).
        crop: the size of the centre that is cut out, which is the input's; or its share of each side, below 1.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    colour: str | None = None
    resize: tuple[str, Size | None] | None = None
    crop: Size | float | None = None

    @property
    def given(self) -> bool:
        return any(each is not None for each in (self.mean, self.std, self.colour, self.resize, self.crop))

    def prepare(self, shape: Sequence[int], mean: float = 128.0, std: float = 128.0) -> Preprocessing:
        """The preprocessing for an input.

        Args:
            shape: (h, w, c) of the input.
            mean, std: what stands in where they were not said.

        Raises:
            TfeffError: it does not fit the input.
        """
        height, width, channels = shape
        if self.colour and (self.colour == "gray") != (channels == 1):
            raise TfeffError(
                f"--colour {self.colour}: the input takes images of {channels} channels", "leave --colour out"
            )
        means, stds = (given * channels if len(given) == 1 else given
                       for given in (self.mean or (mean,), self.std or (std,)))  # fmt: skip
        return Preprocessing(
            (height, width), colour=self.colour or ("gray" if channels == 1 else "rgb"), mean=means, std=stds,
            **self.resizing((height, width)),
        )  # fmt: skip

    def resizing(self, size: Size) -> dict[str, Any]:
        """`resize`, `resize_size` and perhaps `fill` of the preprocessing for an input of `size` (h, w).

        Raises:
            TfeffError: a centre that is not of the input's size, or is said twice.
        """
        how, to = self.resize or ("exact" if self.crop is None else "cover", None)
        if isinstance(self.crop, tuple) and self.crop != tuple(size):
            raise TfeffError(
                f"--crop {self.crop[0]}x{self.crop[1]}: the input is {size[0]}x{size[1]}",
                "what is cut out is the input: give its size, or --crop SHARE below 1",
            )
        if how.startswith("fit"):
            if self.crop is not None:
                raise TfeffError("--crop with --resize fit, which cuts nothing off", "leave --crop out")
            fill = how.partition(":")[2]
            return {"resize": "fit", "resize_size": size, **({"fill": int(fill)} if fill else {})}
        if isinstance(self.crop, float):
            if to is not None:
                raise TfeffError("--crop as a share and --resize with a size", "give one of them: both say how large")
            to = (round(size[0] / self.crop), round(size[1] / self.crop))
        to = to or size
        if to[0] < size[0] or to[1] < size[1]:
            raise TfeffError(
                f"--resize to {to[0]}x{to[1]}: the input is {size[0]}x{size[1]}, which is cut out of that",
                "resize to the input's size or more",
            )
        return {"resize": how, "resize_size": to}

"""What the words of a command say of a model: the options, and the values that they parse to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.errors import TfeffError

if TYPE_CHECKING:  # it needs NumPy, which --help does without
    from tfeff.data import Pixels, Preprocessing


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say in which form a network is meant."""
    options = [
        click.option("--input-size", metavar="N|HxW", help="Input size in pixels; the network's own without it."),
        click.option("--classes", type=int, help="Number of classes; the network's own without it."),
        click.option("--import", "imports", multiple=True, metavar="MODULE",
                     help="Import a module first that registers custom layers of a .keras file."),
    ]  # fmt: skip
    return _with(options, function)


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All options that say which model is meant, its weights, its inputs and what its outputs mean."""
    options = [
        click.option("--weights", metavar="FILE",
                     help="Weights of a named network: .npz, .weights.h5, or `pretrained`."),
        source_options,
        click.option("--input-shape", "input_shapes", multiple=True, metavar="NAME=1,N,...",
                     help="Shape of an input that leaves it open, with a batch of 1; repeat it."),
        click.option("--signature", metavar="NAME",
                     help="Of a SavedModel or .tflite with several signatures, one. [default: serving_default]"),
        click.option("--trust-lambda", is_flag=True,
                     help="Run the Python code of Lambda layers in a Keras file; only if you trust its author."),
        pixel_options,
        click.option("--task", "tasks", multiple=True, metavar="[OUTPUT=]NAME[:KIND]",
                     help="What the outputs of a file mean: classification[:binary|:multi-label], "
                          "detection:FILE.json (the numbers by which outputs become boxes), regression, "
                          "segmentation:HxW (the input's size), tensors. "
                          "[default: as its last layer, its loss or the labels tell]"),
    ]  # fmt: skip
    return _with(options, function)


def pixel_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how an image becomes an input, where no preset, weight file or record does."""
    options = [
        click.option("--mean", help="Subtracted from pixels (0..255): one number, or one a channel."),
        click.option("--std", help="What pixels are then divided by: one number, or one a channel."),
        click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of an image input."),
        click.option("--resize", metavar="[exact|cover|fit][:N|HxW]",
                     help="exact: to this size, whatever the proportions; cover (or N alone): keep them, shorter side "
                          "to N, then cut out the centre; fit[:fill=V]: keep them, the whole image into the input, "
                          "filled up with pixels of V (114). [default: exact, to the input's size]"),
        click.option("--crop", metavar="SHARE|N|HxW",
                     help="The centre that is cut out: the input's size, or its share of each side, such as 0.875."),
    ]  # fmt: skip
    return _with(options, function)


def parse_pixels(options: Mapping[str, Any]) -> "Pixels":
    """What the options of `pixel_options` say; TfeffError for words that mean nothing."""
    from tfeff.data import Pixels

    mean, std = parse_values(options["mean"], "--mean"), parse_values(options["std"], "--std")
    return Pixels(mean, std, options["colour"], parse_resize(options["resize"]), parse_crop(options["crop"]))


def parse_resize(text: str | None) -> "tuple[str, tuple[int, int] | None] | None":
    """`cover:256`, `256` (shorter side), `320x256` (exact), `cover`, `exact`, `fit` -> how, (h, w) or None."""
    if text is None:
        return None
    word, _, size = text.rpartition(":")
    if text in ("exact", "cover", "fit"):
        return text, None
    if word == "fit":
        fill = size.removeprefix("fill=")
        if fill == size or not (fill.isdecimal() and int(fill) <= 255):
            raise TfeffError(
                f"--resize {text!r}: fit is to the input's size, and may say what it fills up with",
                "give fit, or fit:fill=0 (0 to 255; 114 without)",
            )
        return f"fit:{int(fill)}", None
    if word not in ("", "exact", "cover"):
        raise TfeffError(f"--resize {text!r}: no way to resize", "give exact, cover, fit, cover:256, 256 or 320x256")
    how = word or ("exact" if "x" in size.lower() else "cover")
    return how, parse_size(size, "--resize")


def parse_crop(text: str | None) -> "tuple[int, int] | float | None":
    """`0.875` -> a share; `224` or `224x320` -> (h, w)."""
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = 1.0
    return share if 0 < share < 1 else parse_size(text, "--crop")


def _with(options, function):
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Source:
    """What the words of a command say of a model.

    Attributes:
        name: the NETWORK argument.
        weights: a weight file, or `pretrained`; of a named network.
        random_weights: whether it is to be untrained.
        input_size: (h, w) of images; None is its own.
        input_shapes: by input, the shape of one sample.
        classes: how many; None is its own.
        mean, std, colour, resize, crop: how an image becomes an input (`data.Pixels`), of a model that does not say;
            None where nobody says it.
        imports: modules that register custom layers.
        tasks: as `--task` takes them.
        signature: of a SavedModel; None is `serving_default`, or the only one.
        trust_lambda: whether code in a Keras file may run.
        dataset: whose labels may tell what an output means; None without one.
    """

    name: str
    weights: str | None = None
    random_weights: bool = False
    input_size: tuple[int, int] | None = None
    input_shapes: Mapping[str, tuple[int, ...]] | None = None
    classes: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    colour: str | None = None
    resize: tuple[str, tuple[int, int] | None] | None = None
    crop: tuple[int, int] | float | None = None
    imports: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    signature: str | None = None
    trust_lambda: bool = False
    dataset: str | None = None

    @property
    def pixels(self) -> "Pixels":
        """How an image becomes an input."""
        from tfeff.data import Pixels

        return Pixels(self.mean, self.std, self.colour, self.resize, self.crop)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], dataset: str | None = None) -> "Source":
        """From the options of a command; TfeffError for words that mean nothing."""
        return cls(
            name=name,
            weights=options["weights"],
            random_weights=options.get("random_weights", False),
            input_size=parse_size(options["input_size"]),
            input_shapes=parse_shapes(options["input_shapes"]),
            classes=options["classes"],
            mean=parse_values(options["mean"], "--mean"),
            std=parse_values(options["std"], "--std"),
            colour=options["colour"],
            resize=parse_resize(options["resize"]),
            crop=parse_crop(options["crop"]),
            imports=options["imports"],
            tasks=options["tasks"],
            signature=options.get("signature"),
            trust_lambda=options.get("trust_lambda", False),
            dataset=dataset,
        )


def parse_size(text: str | None, option: str = "--input-size") -> tuple[int, int] | None:
    """`224` or `224x320` (height x width) -> (h, w)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise TfeffError(f"{option} {text!r} is not a size", "give 224 or 224x320 (height x width)")
    return (int(parts[0]), int(parts[-1]))


def parse_shapes(words: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """`NAME=1,16000` -> {NAME: (16000,)}, the shape of one sample."""
    shapes = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        parts = text.split(",")
        if not (equals and name and all(part.strip().isdigit() and int(part) > 0 for part in parts)):
            raise TfeffError(f"--input-shape {word!r} is not a shape", "give NAME=1,16000: the input, then its shape")
        if int(parts[0]) != 1:
            raise TfeffError(f"--input-shape {word!r} has a batch of {parts[0]}", "files take one sample: begin with 1")
        shapes[name] = tuple(int(part) for part in parts[1:])
    return shapes


def parse_values(text: str | None, option: str) -> tuple[float, ...] | None:
    """`127.5` or `123.7,116.3,103.5` -> floats."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise TfeffError(
            f"{option} {text!r} is not a list of numbers", "give one number, or one a channel, with commas"
        ) from None


def is_user_file(name: str) -> bool:
    """Whether NETWORK is a Keras file, a `.tflite` or a SavedModel folder rather than a name."""
    return (
        is_keras_file(name)
        or is_float_file(name)
        or (Path(name).is_dir() and (Path(name) / "saved_model.pb").is_file())
    )


def is_keras_file(name: str) -> bool:
    """Whether it is the name of a model that Keras saved: `.keras`, or the `.h5` of Keras 2."""
    return name.endswith((".keras", ".h5", ".hdf5")) and not name.endswith(".weights.h5")


def is_float_file(name: str) -> bool:
    """Whether it is the name of a `.tflite` file, which must be float to be a model."""
    return name.endswith(".tflite")


def file_stem(path: Path) -> str:
    """What artifacts of a user's file are called."""
    return path.stem if is_keras_file(path.name) or is_float_file(path.name) else path.resolve().name


def plain_preprocessing(shape: Sequence[int], source: Source) -> "Preprocessing":
    """To (h, w, c) as the options say; mean and std 128 where they do not."""
    return source.pixels.prepare(shape)

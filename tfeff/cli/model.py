"""From the NETWORK argument to a model: a name, a preset, or the user's own file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfeff.errors import TfeffError

if TYPE_CHECKING:  # importing it takes a second that --help does not have
    from tfeff.export import Model

_LOGITS = {"kind": "classes", "scores": "logits"}  # what every network of ours gives


def source_options(function):
    """The options that say in which form a network is meant."""
    options = [
        click.option("--input-size", metavar="N|HxW", help="Input size in pixels; the network's own without it."),
        click.option("--classes", type=int, help="Number of classes; the network's own without it."),
        click.option("--import", "imports", multiple=True, metavar="MODULE",
                     help="Import a module first that registers custom layers of a .keras file."),
    ]  # fmt: skip
    return _with(options, function)


def model_options(function):
    """All options that say which model is meant, its weights, its inputs and what its outputs mean."""
    options = [
        click.option("--weights", metavar="FILE",
                     help="Weights of a named network: .npz, .weights.h5, or `pretrained`."),
        source_options,
        click.option("--input-shape", "input_shapes", multiple=True, metavar="NAME=1,N,...",
                     help="Shape of an input that leaves it open, with a batch of 1; repeat it."),
        click.option("--mean", help="Of an image's preprocessing, pixel values: one number, or one a channel."),
        click.option("--std", help="Of an image's preprocessing, pixel values."),
        click.option("--colour", type=click.Choice(["rgb", "bgr", "gray"]), help="Colour order of an image input."),
        click.option("--task", "tasks", multiple=True, metavar="[OUTPUT=]NAME[:KIND]",
                     help="What the outputs of a file mean: classification[:binary|:multi-label], regression, tensors. "
                          "[default: as its last layer, its loss or the labels tell]"),
    ]  # fmt: skip
    return _with(options, function)


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
        mean, std, colour: how an image becomes an input, of a model that does not say; None where nobody says it.
        imports: modules that register custom layers.
        tasks: as `--task` takes them.
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
    imports: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    dataset: str | None = None

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
            imports=options["imports"],
            tasks=options["tasks"],
            dataset=dataset,
        )


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`224` or `224x320` (height x width) -> (h, w)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise TfeffError(f"--input-size {text!r} is not a size", "give 224 or 224x320 (height x width)")
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
    """Whether NETWORK is a `.keras` file or a SavedModel folder rather than a name."""
    return name.endswith(".keras") or (Path(name).is_dir() and (Path(name) / "saved_model.pb").is_file())


def file_stem(path: Path) -> str:
    """What artifacts of a user's file are called."""
    return path.stem if path.suffix == ".keras" else path.resolve().name


def is_preset(name: str) -> bool:
    """Whether NETWORK is a bundled preset, its alias, or the path of a preset's JSON file."""
    from tfeff import presets

    bundled = name in presets.aliases() or name in presets.list_presets()
    return bundled or (name.endswith(".json") and Path(name).is_file())


def own_dataset(name: str) -> str | None:
    """What a preset was trained on; None for anything else."""
    from tfeff.networks import index
    from tfeff.presets import load_preset

    return None if is_user_file(name) or name in index() else load_preset(name).dataset


def meant(name: str, *, own_weights: bool) -> str:
    """The preset where NETWORK is a network and its family's alias in one (`vargfacenet`), unless weights are given."""
    from tfeff import presets
    from tfeff.networks import index

    return name if own_weights or name not in index() else presets.aliases().get(name, name)


def check_known(name: str) -> None:
    """Raises for a NETWORK that is nothing, with the nearest names; before anything slow is imported."""
    from tfeff import presets
    from tfeff.networks import index, registry

    if is_user_file(name) or name in index() or is_preset(name):
        return
    if Path(name).exists():
        raise TfeffError(
            f"{name}: neither a .keras file, a SavedModel folder nor a preset's .json", "give one of these"
        )
    try:
        registry.get_network(name)  # newer than the index?
    except TfeffError:
        known = {*index(), *presets.aliases(), *presets.list_presets()}
        raise registry.unknown_name("network", name, known, "`tfeff list` shows all of them") from None


def build_model(source: Source, progress: Callable[[int, int], None] | None = None) -> "Model":
    """Builds what is to be exported; `progress` (bytes done, bytes in all) is told while weights are fetched.

    Raises:
        TfeffError: unknown name, options that do not go together, weights or a file that cannot be used.
    """
    from tfeff import presets
    from tfeff.cli.quiet import import_tensorflow
    from tfeff.networks import index

    name, weights = source.name, source.weights
    told = _about_weights(name, weights, progress) if weights and not source.random_weights else None
    import_tensorflow()
    if is_user_file(name):
        if weights or source.random_weights or source.classes:
            raise TfeffError(f"{name}: holds its own weights", "leave --weights, --random-weights and --classes out")
        from tfeff.cli.user_model import build_user_model

        return build_user_model(source)
    if source.tasks or source.input_shapes:
        word = "--task" if source.tasks else "--input-shape"
        raise TfeffError(f"{word}: {name} is a classifier of one image", "leave it out; it is for files of your own")
    if is_preset(name) and name not in index():
        if replace(source, imports=(), dataset=None) != Source(name, input_shapes=source.input_shapes):
            raise TfeffError(
                f"preset {name}: brings its own weights, input size, classes and preprocessing",
                f"name the network instead: {presets.load_preset(name).network}",
            )
        return _preset_model(presets.load_preset(name))
    if bool(weights) == bool(source.random_weights):
        raise TfeffError(
            f"network {name}: {'both --weights and --random-weights' if weights else 'has no weights'}",
            "give --weights FILE, or --random-weights to study size and latency, or export a preset (`tfeff list`)",
        )
    return _named_model(source, told)


def _about_weights(name, weights, progress):
    """What a weight file says of itself, before anything slow is imported; a public one is fetched, and {}."""
    from tfeff.networks import index

    if is_user_file(name) or name not in index():
        return None
    from tfeff.weights.public import PREFIX, fetch, find_public

    if weights.split(":")[0] == PREFIX:
        fetch(find_public(name, weights), progress)
        return {}
    from tfeff.weights import read_metadata

    return read_metadata(Path(weights))


def _classifier(keras_model, name, network, preprocessing, labels=(), **more) -> "Model":
    """A network of ours: one image in, logits out."""
    from tfeff.data import image_port
    from tfeff.export import Model
    from tfeff.record.schema import TaskSpec

    task = TaskSpec(name="classification", outputs=["logits"], labels=list(labels), decode=dict(_LOGITS))
    return Model(keras_model, name, network, (image_port(preprocessing),), ("logits",), (task,), **more)


def _preset_model(preset):
    return _classifier(
        preset.build(), preset.name, preset.network, preset.preprocessing, preset.labels, preset=preset.name,
        dataset=preset.dataset,
    )  # fmt: skip


def _named_model(source, told):
    """`told`: what the weight file says of itself; one that says nothing leaves the form to the options here."""
    import keras

    from tfeff.networks import create, get_network

    name, size, arguments = source.name, source.input_size, {}
    if size:
        arguments["input_shape"] = (*size, 3)
        if max(size) <= 64 and told is None:
            arguments["small_image"] = True
    if source.classes:
        arguments["classes"] = source.classes
    keras.utils.set_random_seed(0)  # random weights are the same weights every time
    if not source.weights:
        model = create(name, **arguments)
        notes = ("random weights: accuracy means nothing, size and latency do",)
        return _classifier(
            model, name, name, plain_preprocessing(model.input_shape[1:], source), random_weights=True, notes=notes
        )
    from tfeff.networks.weighted import build_with_weights

    model, told = build_with_weights(get_network(name), source.weights, **arguments)
    preprocessing, notes = _told_preprocessing(told, model.input_shape[1:], source)
    return _classifier(model, name, name, preprocessing, dataset=told.get("dataset"), notes=notes)


def _told_preprocessing(told, shape, source):
    """Preprocessing by what a weight file says of itself, the caller's words first; and notes for the record."""
    from tfeff.data import Preprocessing

    notes = [*told.get("notes", ())]
    if "source" in told:
        origin, licence = told["source"], told.get("licence", "licence not known")
        notes.append(f"weights from {origin['file']}, sha256 {origin['sha256'][:16]}, {origin['layout']}, {licence}")
    if "preprocessing" not in told:
        if told and (source.mean is None or source.std is None):
            notes.append(
                "how the weights' images were prepared is not known: 128 taken where --mean or --std is missing"
            )
        return plain_preprocessing(shape, source), tuple(notes)
    known = Preprocessing.from_dict(told["preprocessing"])
    sizes = [
        round(resized * now / was) for resized, now, was in zip(known.resize_size, shape, known.size, strict=False)
    ]
    changes = {"size": shape[:2], "resize_size": sizes, "colour": source.colour or known.colour}
    given = (("mean", source.mean), ("std", source.std))
    changes |= {k: v * shape[2] if len(v) == 1 else v for k, v in given if v}
    return replace(known, **changes), tuple(notes)


def plain_preprocessing(shape, source):
    """Resized to (h, w, c); mean and std as given, else 128."""
    from tfeff.data import Preprocessing

    channels = shape[2]
    colour = source.colour or ("gray" if channels == 1 else "rgb")
    mean, std = (given * channels if len(given) == 1 else given
                 for given in (source.mean or (128.0,), source.std or (128.0,)))  # fmt: skip
    return Preprocessing(size=tuple(shape[:2]), colour=colour, mean=mean, std=std)

"""From the NETWORK argument to a model: a name, a preset, or the user's own file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfeff.cli.source import Source, is_float_file, is_user_file, plain_preprocessing
from tfeff.errors import TfeffError

if TYPE_CHECKING:  # importing it takes a second that --help does not have
    from tfeff.export import Model


# How files of other frameworks come here: each by its own converter, as a float `.tflite`.
_TORCH = (
    "`pip install litert-torch`, in Python `litert_torch.convert(model.eval(), (example,)).export('model.tflite')`; "
    "then `tfeff export model.tflite --int8 ...`"
)
_WAYS = {
    ".onnx": "`pip install onnx2tf`, then `onnx2tf -i model.onnx -o out`, and `tfeff export out/model_float32.tflite "
    "--int8 ...`",
    ".pb": "give the whole SavedModel folder that it lies in, with its variables/",
} | dict.fromkeys((".pt", ".pth", ".pt2"), _TORCH)


def is_preset(name: str) -> bool:
    """Whether NETWORK is a bundled preset, its alias, or the path of a preset's JSON file."""
    from tfeff import presets

    bundled = name in presets.aliases() or name in presets.list_presets()
    return bundled or (name.endswith(".json") and Path(name).is_file())


def own_dataset(name: str) -> str | None:
    """What a preset was trained on; None for anything else, and for a path that is not in the preset's own folder: its
    file may be a stranger's."""
    from tfeff.data import is_within
    from tfeff.networks import index
    from tfeff.presets import load_preset

    if is_user_file(name) or name in index():
        return None
    preset = load_preset(name)
    return preset.dataset if is_within(preset.dataset, preset.weights.parent) else None


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
            f"{name}: neither a .keras, .h5 or float .tflite file, a SavedModel folder nor a preset's .json",
            _WAYS.get(Path(name).suffix, "give one of these"),
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
    float_file = _read_float_file(source) if is_float_file(name) else None
    told = _about_weights(name, weights, progress) if weights and not source.random_weights else None
    import_tensorflow()
    if is_user_file(name):
        if weights or source.random_weights or source.classes:
            raise TfeffError(f"{name}: holds its own weights", "leave --weights, --random-weights and --classes out")
        from tfeff.cli.user_model import build_user_model

        return build_user_model(source, float_file)
    if source.tasks or source.input_shapes or source.signature:
        word = "--task" if source.tasks else "--input-shape" if source.input_shapes else "--signature"
        raise TfeffError(f"{word}: what {name} takes and gives is known", "leave it out; it is for files of your own")
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


def _read_float_file(source):
    """What is known of a `.tflite` file before anything slow is imported."""
    from tfeff.cli.user_model import read_source

    return read_source(source)


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


def _preset_model(preset):
    return _named(
        preset.build(), preset.network, preset.preprocessing, preset.arguments, called=preset.name,
        labels=preset.labels, preset=preset.name, dataset=preset.dataset,
        calibration_method=preset.calibration_method,
    )  # fmt: skip


def _named_model(source, told):
    """`told`: what the weight file says of itself; one that says nothing leaves the form to the options here."""
    import keras

    from tfeff.networks import create, get_network

    name, size = source.name, source.input_size
    arguments: dict[str, Any] = {}
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
        preprocessing = plain_preprocessing(model.input_shape[1:], source)
        if get_network(name).describe is not None:
            _settle(model)
        return _named(model, name, preprocessing, arguments, random_weights=True, notes=notes)
    from tfeff.networks.weighted import build_with_weights

    model, told = build_with_weights(get_network(name), source.weights, **arguments)
    preprocessing, notes = _told_preprocessing(told, model.input_shape[1:], source)
    arguments = {**told.get("arguments", {}), **arguments}
    return _named(model, name, preprocessing, arguments, dataset=told.get("dataset"), notes=notes)


def _settle(model):
    """Gives BNs the statistics that they see on noise, and scales and shifts of a half.

    In a deep network as it is initialized, values fade away from layer to layer until the biases of the last ones hide
    them, and nothing is left to quantize; with a scale of 1 and no shift it would magnify rounding a thousandfold.
    """
    import keras
    import numpy as np

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
        for values in (layer.gamma, layer.beta):
            values.assign(np.full(values.shape, 0.5, np.float32))
    model(np.random.default_rng(0).standard_normal((4, *model.input_shape[1:]), np.float32), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _named(model, name, preprocessing, arguments, *, called=None, labels=(), **known):
    """`called`: what files are named by; `labels`: of the classes, where they are known; `known`: of `Model`."""
    import msgspec

    from tfeff.data import image_port
    from tfeff.export import Model
    from tfeff.networks import get_network
    from tfeff.tasks import Head, get_task, list_tasks

    task = get_network(name).meaning(model, **arguments)
    if task.name not in list_tasks():
        task = get_task("tensors").describe(None, [Head(output, ()) for output in task.outputs])
    elif labels:
        task = msgspec.structs.replace(task, labels=list(labels))
    outputs = tuple(sorted(task.outputs))  # in which order Keras gives those of a dictionary
    return Model(model, called or name, name, (image_port(preprocessing),), outputs, (task,), **known)


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
        round(resized * now / was)
        for resized, now, was in zip(known.resize_size or known.size, shape, known.size, strict=False)
    ]
    changes: dict[str, Any] = {"size": shape[:2], "resize_size": sizes, "colour": source.colour or known.colour}
    if source.resize or source.crop:
        changes |= source.pixels.resizing(tuple(shape[:2]))
    given = (("mean", source.mean), ("std", source.std))
    changes |= {k: v * shape[2] if len(v) == 1 else v for k, v in given if v}
    return replace(known, **changes), tuple(notes)

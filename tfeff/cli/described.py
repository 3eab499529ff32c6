"""What `tfeff info` says of a network: built, counted, and what its paper prints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfeff.cli.model import check_known, is_preset
from tfeff.cli.source import is_float_file, is_keras_file, is_user_file
from tfeff.errors import TfeffError


def describe_network(name: str, input_size: tuple[int, int] | None, classes: int | None, imports: Sequence[str]) -> Any:
    """What `tfeff info` says: counts and published figures (the latter only in the published form)."""
    facts, model, _ = described_model(name, input_size, classes, imports)
    from tfeff.cost import count

    try:
        counted = count(model).as_dict()
    except (ValueError, AttributeError) as error:
        raise TfeffError(f"{name}: {error}") from None
    return facts | {"counted": counted}


def described_model(name: str, input_size: tuple[int, int] | None, classes: int | None, imports: Sequence[str]) -> Any:
    """The facts of `describe_network` without the counts, the model, and the name of its network as records have it."""
    from tfeff import presets
    from tfeff.cli.quiet import import_tensorflow
    from tfeff.networks import get_network, index

    check_known(name)
    import_tensorflow()
    from tfeff.cost import count_as_published

    facts: dict[str, Any] = {"network": name, "paper": "", "published": {}, "training": {}, "dataset": None}
    architecture = name
    if is_user_file(name):
        model = _user_network(Path(name), input_size, imports)
        architecture = Path(name).name
    elif name in index() or not is_preset(name):  # `vargfacenet` is both; its published figures are the network's
        network = get_network(name)
        arguments: dict[str, Any] = {"input_shape": (*input_size, 3)} if input_size else {}
        arguments |= {"classes": classes} if classes else {}
        model = network(**arguments)
        facts |= {"paper": network.paper, "published": {} if arguments else dict(network.published)}
    else:
        preset = presets.load_preset(name)
        model = preset.build()
        architecture = preset.network
        training = {key: value for key, value in preset.training.items() if key != "history"}
        facts |= {"network": preset.name, "paper": get_network(preset.network).paper, "training": training}
        facts |= {"dataset": preset.dataset}
    facts |= {"inputs": [list(tensor.shape[1:]) for tensor in model.inputs]}
    output = getattr(model, "output", None)  # a Sequential has none
    named = output if isinstance(output, Mapping) else {}
    facts |= {"outputs": [list(tensor.shape[1:]) for tensor in named.values() or model.outputs]}
    facts |= {"output_names": list(named)} if named else {}
    (one_in,), (one_out,) = (facts[side] if len(facts[side]) == 1 else (None,) for side in ("inputs", "outputs"))
    facts |= {"input_shape": one_in, "classes": one_out[0] if one_out and len(one_out) == 1 else None}
    facts |= {"counted_as_published": count_as_published(model, facts["published"])}
    return facts, model, architecture


def _user_network(path, input_size, imports):
    """The model in a Keras file, for inputs of one size; its weights are those of the file only where it has one."""
    import keras

    from tfeff.export.loading import read_keras

    if is_float_file(path.name):
        from tfeff.export.rebuild.network import rebuild_network
        from tfeff.export.rebuild.reading import read_float_file

        return rebuild_network(read_float_file(path, size=input_size))
    if not is_keras_file(path.name):
        raise TfeffError(f"{path}: of a SavedModel no layers are known to count", "give the .keras file")
    model = read_keras(path, imports)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if not any(None in shape for shape in shapes):
        if input_size and all(shape[:2] != tuple(input_size) for shape in shapes):
            raise TfeffError(f"{path}: takes {shapes[0]} only", "leave --input-size out")
        return model
    fixed = [(*input_size, *shape[2:]) if input_size and len(shape) == 3 else shape for shape in shapes]
    if any(None in shape for shape in fixed):
        raise TfeffError(f"{path}: its input size is open", "give --input-size")
    tensors = [keras.Input(shape, dtype=tensor.dtype) for shape, tensor in zip(fixed, model.inputs, strict=True)]
    return keras.models.clone_model(model, input_tensors=tensors[0] if len(tensors) == 1 else tensors)

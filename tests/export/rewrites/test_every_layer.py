"""A copy of every layer class that Keras has computes what the layer does, and holds all of its variables."""

import keras
import numpy as np
import pytest
from keras import layers

from tfeff.export.rewrites.copying import copy_layer, in_inference
from tfeff.layers.keras_private import maker

RNG = np.random.default_rng(11)
LINE, MAP, BLOCK = (6, 4), (6, 6, 4), (4, 4, 4, 2)
BY_RANK = {1: LINE, 2: MAP, 3: BLOCK}
WORDS = ["a", "b", "c"]


def adapted(layer, data):
    layer.adapt(data)
    return layer


def ranks(*cases):
    """{class name with its rank: (options, shape)} for the kinds that Keras has for 1, 2 and 3 dimensions."""
    return {
        f"{kind}{rank}D": (options, BY_RANK[rank])
        for kind, options in cases
        for rank in BY_RANK
        if hasattr(layers, f"{kind}{rank}D")
    }


# Name: (options, or what makes the layer; one shape, or a list of several inputs'; the type of the inputs).
CASES = {
    **ranks(
        ("Conv", {"filters": 4, "kernel_size": 3}), ("Conv{}Transpose", {}), ("DepthwiseConv", {"kernel_size": 3}),
        ("SeparableConv", {"filters": 4, "kernel_size": 3}), ("MaxPooling", {}), ("AveragePooling", {"pool_size": 2}),
        ("GlobalMaxPooling", {}), ("GlobalAveragePooling", {}), ("AdaptiveMaxPooling", {"output_size": 2}),
        ("AdaptiveAveragePooling", {"output_size": 2}), ("UpSampling", {}), ("ZeroPadding", {}), ("Cropping", {}),
        ("SpatialDropout", {"rate": 0.5}),
    ),
    **{f"Conv{r}DTranspose": ({"filters": 3, "kernel_size": 3}, BY_RANK[r]) for r in BY_RANK},
    **{f"ConvLSTM{r}D": ({"filters": 2, "kernel_size": 3}, (3, *BY_RANK[r])) for r in BY_RANK},
    **{name: ({}, [MAP, MAP]) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
                                           "Concatenate")},
    **{name: ({}, MAP) for name in (
        "ActivityRegularization", "BatchNormalization", "ELU", "Flatten", "Identity", "LayerNormalization", "LeakyReLU",
        "Masking", "PReLU", "ReLU", "RMSNormalization", "Softmax", "UnitNormalization", "Normalization")},
    "Activation": ({"activation": "silu"}, MAP), "AlphaDropout": ({"rate": 0.5}, MAP), "Dropout": ({"rate": 0.5}, MAP),
    "GaussianDropout": ({"rate": 0.5}, MAP), "GaussianNoise": ({"stddev": 1.0}, MAP),
    "GroupNormalization": ({"groups": 2}, MAP), "Dense": ({"units": 3}, LINE),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}, LINE),
    "Embedding": ({"input_dim": 9, "output_dim": 3}, (5,), "int32"),
    "ReversibleEmbedding": ({"input_dim": 9, "output_dim": 3}, (5,), "int32"),
    "Dot": ({"axes": 1}, [(6,), (6,)]), "Attention": ({"use_scale": True}, [LINE, LINE]),
    "AdditiveAttention": ({}, [LINE, LINE]), "Permute": ({"dims": (2, 1)}, LINE), "RepeatVector": ({"n": 3}, (6,)),
    "Reshape": ({"target_shape": (4, 6)}, LINE), "Rescaling": ({"scale": 2.0, "offset": 1.0}, MAP),
    "LSTM": ({"units": 3}, LINE), "GRU": ({"units": 3}, LINE), "SimpleRNN": ({"units": 3}, LINE),
    "RNN": (lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]), LINE),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), LINE),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(3)), LINE),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Conv2D(3, 3)), MAP),
    "Discretization": (lambda: adapted(layers.Discretization(num_bins=4), np.linspace(0, 1, 50)[:, None]), (1,)),
    "CategoryEncoding": ({"num_tokens": 9}, (3,), "int32"), "Hashing": ({"num_bins": 4}, (1,), "int32"),
    "IntegerLookup": (lambda: adapted(layers.IntegerLookup(output_mode="one_hot"), np.array([4, 7])), (1,), "int64"),
    "STFTSpectrogram": ({"frame_length": 8, "frame_step": 4, "fft_length": 8}, (64, 1)),
    "MelSpectrogram": ({"fft_length": 16, "sequence_stride": 8, "num_mel_bins": 4}, (64,)),
    "Resizing": ({"height": 4, "width": 5}, MAP), "CenterCrop": ({"height": 4, "width": 4}, MAP),
    "Pipeline": (lambda: layers.Pipeline([layers.Rescaling(0.5), layers.Rescaling(2.0)]), MAP),
    "Solarization": ({}, (6, 6, 3)), "AutoContrast": ({}, (6, 6, 3)), "Equalization": ({}, (6, 6, 3)),
    "RandomCrop": ({"height": 6, "width": 6}, (6, 6, 3)),
    **{name: (options, (6, 6, 3)) for name, options in {
        "AugMix": {}, "CutMix": {}, "MixUp": {}, "RandAugment": {}, "RandomBrightness": {"factor": 0.1},
        "RandomColorDegeneration": {"factor": 0.1}, "RandomColorJitter": {}, "RandomContrast": {"factor": 0.1},
        "RandomElasticTransform": {}, "RandomErasing": {}, "RandomFlip": {}, "RandomGaussianBlur": {},
        "RandomGrayscale": {}, "RandomHue": {"factor": 0.1}, "RandomInvert": {}, "RandomPerspective": {},
        "RandomPosterization": {"factor": 4}, "RandomRotation": {"factor": 0.1}, "RandomSaturation": {"factor": 0.1},
        "RandomSharpness": {"factor": 0.1}, "RandomShear": {}, "RandomTranslation": {"height_factor": 0.1,
        "width_factor": 0.1}, "RandomZoom": {"height_factor": 0.1}}.items()},
}  # fmt: skip
# Takes its inputs one by one.
SEVERAL = {
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, [LINE, LINE]),
    "GroupQueryAttention": ({"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 1}, [LINE, LINE]),
}
# Those that no functional graph of numbers holds, and why.
NOT_IN_A_GRAPH = {
    "InputLayer": "is the graph's door, made anew and never copied",
    "InputSpec": "is no layer",
    "Layer": "does nothing by itself",
    "Wrapper": "does nothing by itself; TimeDistributed, Bidirectional and SpectralNormalization are wrappers",
    "Lambda": "holds code, which a file may run only where its user trusts it",
    "GRUCell": "is called by RNN", "LSTMCell": "is called by RNN", "SimpleRNNCell": "is called by RNN",
    "StackedRNNCells": "is called by RNN",
    "StringLookup": "takes text", "TextVectorization": "takes text", "HashedCrossing": "takes text or pairs of words",
    "FlaxLayer": "is of another backend", "JaxLayer": "is of another backend",
    "TorchModuleWrapper": "is of another backend", "TFSMLayer": "holds a SavedModel by its path",
    "MaxNumBoundingBoxes": "takes boxes", "ContrastLimitedAdaptiveHistogramEqualization": "has no inference of its own",
}  # fmt: skip


def classes():
    """{name: class} of every layer of `keras.layers`, each under its own name only."""
    found = {name: value for name, value in vars(layers).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if value.__name__ == name}


def make(name):
    """The layer, and a batch for each of its inputs."""
    options, shapes, *dtype = {**CASES, **SEVERAL}[name]
    layer = options() if callable(options) else getattr(layers, name)(**options)
    batch = []
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        values = RNG.integers(0, 8, (2, *shape)) if dtype else RNG.uniform(0, 1, (2, *shape))
        batch.append(values.astype(dtype[0] if dtype else "float32"))
    return layer, batch


def give_state(layer):
    """Values that no initializer gives, in every variable: what training, or a file, may have left there."""
    for variable in layer.variables:
        if "float" in keras.backend.standardize_dtype(variable.dtype):
            variable.assign(RNG.uniform(0.2, 1.5, variable.shape))
        elif "seed" in variable.name:
            variable.assign(np.ones(variable.shape, "uint32") * 77)
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()  # as what gave the variables their values does


def called(function, name, values):
    return function(*values) if name in SEVERAL else function(values[0] if len(values) == 1 else values)


def test_no_layer_class_is_forgotten():
    known = {*CASES, *SEVERAL, *NOT_IN_A_GRAPH}
    assert set(classes()) - known == set()


@pytest.mark.parametrize("name", sorted(set(CASES | SEVERAL) & set(classes())))
def test_a_copy_is_what_it_was_copied_from(name):
    layer, batch = make(name)
    inputs = [keras.Input(values.shape[1:], dtype=values.dtype.name) for values in batch]
    called(layer, name, inputs)
    give_state(layer)
    made = called(copy_layer(layer), name, inputs)
    copied = maker(keras.tree.flatten(made)[0])
    assert copied is not layer
    assert type(copied) is type(layer)
    assert len(copied.variables) == len(layer.variables)
    for one, other in zip(copied.variables, layer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    given = [called(lambda *x, each=each: in_inference(each, *x), name, batch) for each in (copied, layer)]
    for one, other in zip(*map(keras.tree.flatten, given), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))

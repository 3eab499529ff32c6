"""What to make of a model: the words of `tfeff export` as a value."""

from dataclasses import dataclass, field

from tfeff.export.targets import CompilerOptions


@dataclass(frozen=True)
class Request:
    """What to make of a model.

    Attributes:
        precision: a key of `quantize.PRECISIONS`; "int8" is static full integer.
        target: what the file must run on.
        io: dtype of input and output; None is the target's or the precision's own.
        calibration: source of representative images; needed for int8 and int16x8. Without it, rewrites and the float
            file are proven on seeded random inputs.
        samples: how many of them; None takes up to 512.
        method: how int8 ranges come from them, see `calibration.methods`; None is the default.
        ranges: `LAYER=METHOD` or `LAYER=LOW:HIGH`, for layers that get their own.
        allow_audit: whether grave findings about the images are let pass.
        quantizer: of int8: "graph", our own, or "converter", TensorFlow's.
        per_tensor: one scale for all of a layer's int8 weights, for hardware that has none by channel.
        equalize: whether channels are brought to like ranges before int8.
        correct_bias: whether what int8 does to the mean of each layer's output is taken off its bias.
        dataset: labelled images for the comparison; None leaves it out.
        evaluation_samples: how many of those; None is all.
        devices: where it is timed; empty leaves it out.
        threads: of the runtime.
        benchmark_binary: `benchmark_model` for a phone among the devices; None fetches TensorFlow's once.
        max_drop: gate, points of top-1 that quantization may cost.
        max_latency_ms: gate, for the median on every device.
        strict: gate, whether every unit of an int8 file must be what was simulated.
        tune: device on which the forms of each rewrite are timed and the fastest taken; None leaves it to the target.
        compiler: what the target's compiler is told.
        allow_float: layers, or operations by TensorFlow Lite's names, that may stay in float in an int8 file.
        with_nms: whether a detector's file ends in boxes.
        metadata: whether the file holds metadata for MediaPipe.
        force: whether an existing artifact may be replaced.
        keep_failed: whether the files of an export that is refused after they were made are kept, in a folder of their
            own beside the artifact's place.
        seed: chooses images, and the order of timing.
    """

    precision: str = "int8"
    target: str = "litert"
    io: str | None = None
    calibration: str | None = None
    samples: int | None = None
    method: str | None = None
    ranges: tuple[str, ...] = ()
    allow_audit: bool = False
    quantizer: str = "graph"
    per_tensor: bool = False
    equalize: bool = False
    correct_bias: bool = True
    dataset: str | None = None
    evaluation_samples: int | None = None
    devices: tuple[str, ...] = ("local",)
    threads: int = 1
    benchmark_binary: str | None = None
    max_drop: float | None = None
    max_latency_ms: float | None = None
    strict: bool = False
    tune: str | None = None
    compiler: CompilerOptions = field(default_factory=CompilerOptions)
    allow_float: tuple[str, ...] = ()
    with_nms: bool = False
    metadata: bool = False
    force: bool = False
    keep_failed: bool = False
    seed: int = 0

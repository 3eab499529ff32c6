"""The recipe of a training: everything that decides what it gives."""

from dataclasses import dataclass, field

from tfeff.errors import TfeffError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training gives; two runs with the same recipe give the same network.

    Attributes:
        network, dataset: names, as the command line takes them.
        epochs, batch_size: counts.
        learning_rate: AdamW's peak, after the warm-up; then a cosine down to 0.
        warm_up: epochs, at most half of all.
        weight_decay: AdamW's, kernels only.
        label_smoothing: of classes; 0 is none.
        augment: mirror at random, and move at random (edges padded with the darkest pixel); of images with boxes also
            their scale, proportions and colour.
        move: the largest move, as a share of the size.
        input_size: (h, w), pixels.
        validation: share of the training images held out to choose the best epoch; the test images choose nothing.
        seed: of weights, order and augmentation.
        loss: one of the task's losses; None is its first.
        average: how much of the weights' moving average stays at each step, 0 for no average; the average is what is
            judged and kept.
        backbone: a preset or a weight file, from which layers of the same names begin; None is random weights.
        options: of the network, besides input size and classes: plain values.
    """

    network: str
    dataset: str
    epochs: int
    batch_size: int = 128
    learning_rate: float = 2e-3
    warm_up: float = 1.0
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    augment: bool = True
    move: float = 0.125
    input_size: tuple[int, int] = (32, 32)
    validation: float = 0.05
    seed: int = 0
    loss: str | None = None
    average: float = 0.0
    backbone: str | None = None
    options: dict[str, str | bool | int | float] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise TfeffError(f"training: {name} must be above 0, not {getattr(self, name)}")
        if not (0 <= self.label_smoothing < 1 and self.weight_decay >= 0):
            raise TfeffError(
                f"training: label_smoothing must be in 0..1 and weight_decay not below 0, not {self.label_smoothing} "
                f"and {self.weight_decay}"
            )
        if not 0 <= self.warm_up <= self.epochs:
            raise TfeffError(f"training: warm_up must be in 0..{self.epochs} epochs, not {self.warm_up}")
        if not 0 <= self.move < 1:
            raise TfeffError(f"training: move must be a share of the size in 0..1, not {self.move}")
        if not 0 < self.validation < 1:
            raise TfeffError(f"training: validation must be a share between 0 and 1, not {self.validation}")
        if not 0 <= self.average < 1:
            raise TfeffError(f"training: average must be in 0..1 and below 1, not {self.average}")
        if own := {"input_shape", "classes", "name"} & set(self.options):
            raise TfeffError(
                f"training: option {min(own)} of {self.network} follows from the input size and the dataset",
                "give --input-size and --dataset",
            )

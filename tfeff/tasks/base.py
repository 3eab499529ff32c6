"""What a task is, and what its metric is. A new task is one file with a `TASK`; see `tfeff.tasks`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from tfeff.errors import TfeffError
from tfeff.record.schema import Port, TaskSpec
from tfeff.tasks.criteria import Criterion, OutputError
from tfeff.tasks.meant import Meant

Outputs = Mapping[str, np.ndarray]  # port -> float32 or integers, one sample, without its batch
Prediction = TypeVar("Prediction")


@dataclass(frozen=True)
class Head:
    """What is known of an output of a model that nobody described.

    Attributes:
        output: name of the port.
        shape: of one sample.
        dtype: numpy's name of it.
        activation: of the last layer, by Keras' name (`softmax`, `linear`, ...); None when it cannot be seen.
        loss: that the model was compiled with, by the name of Keras' function (`huber`, ...); None when unknown.
        labels: of the dataset at hand, (n, ...), where they can only be of this output; None without.
    """

    output: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    activation: str | None = None
    loss: str | None = None
    labels: np.ndarray | None = None

    @property
    def values(self) -> int | None:
        """How many real numbers the output is a list of; None where it is no such list."""
        return self.shape[0] if len(self.shape) == 1 and np.issubdtype(np.dtype(self.dtype), np.floating) else None


@dataclass(frozen=True)
class GroupValue:
    """The metric of a part of the samples, a class for example."""

    label: str
    value: float
    samples: int


class Metric(ABC, Generic[Prediction]):
    """A task's figure, collected a sample at a time.

    Attributes:
        name, unit: `top-1` and `%`, for example.
        higher_is_better: the direction.
    """

    name: str
    unit: str
    higher_is_better: bool

    @abstractmethod
    def add(self, prediction: Prediction, annotation: Any) -> None:
        """Takes one sample."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many samples were added."""

    @abstractmethod
    def value(self, weights: np.ndarray | None = None) -> float:
        """The figure, in `unit`.

        Args:
            weights: (n,) how often each sample counts; None is once each. Bootstrap and groups go through it.
        """

    def values(self, weights: np.ndarray) -> np.ndarray:
        """(draws,) the figure by each row of `weights`, (draws, n): what the bootstrap asks for."""
        return np.array([self.value(row) for row in weights])

    def parts(self) -> np.ndarray | None:
        """(n,) what each sample adds, where the figure is `scale` times their mean; None for any other figure."""
        return None

    scale: float = 1.0

    def groups(self) -> list[GroupValue]:
        """The figure by groups, in their own order; none by default."""
        return []


@dataclass(frozen=True)
class Picture:
    """What `Task.draw` made: lines of text for people, and an overlay where the task has one.

    Attributes:
        lines: the answer in words, the best first: (text, score in 0..1 or None).
        image: uint8 (h, w, 3), the input image with the answer in it; None where words say it all.
    """

    lines: Sequence[tuple[str, float | None]] = field(default_factory=tuple)
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Frame:
    """A part of an answer that has a place in the image.

    Attributes:
        box: float (4,), x1 y1 x2 y2 in pixels of what the answer is of, the input or the image.
        name: what it is called there; a class's second is `name (2)`.
        score: 0 to 1.
        colour: red, green and blue, 0 to 255, the same for the same class.
        alone: whether the answer beside it has none of its class there.
    """

    box: np.ndarray
    name: str
    score: float
    colour: tuple[int, int, int]
    alone: bool = False


class Task(ABC):
    """What outputs mean and how right they are.

    Attributes:
        name: the file's name.
        annotation: what a dataset must give, in words.
        output_names: what the outputs are called in a file that we name; empty leaves the user's own names.
        group: what `Metric.groups` parts the samples by, in a word.
    """

    name: str
    annotation: str
    output_names: tuple[str, ...] = ()
    group: str = "part"

    def recognise(self, head: Head) -> TaskSpec | None:
        """What the output means, where its head says that it is of this task; None where it does not."""
        return None

    def describe(self, kind: str | None, heads: Sequence[Head]) -> TaskSpec:
        """What the user means by `--task NAME[:KIND]`.

        Raises:
            TfeffError: the task has no such kind.
        """
        if kind is not None:
            raise TfeffError(f"--task {self.name}:{kind}: {self.name} has no kinds", f"--task {self.name}")
        return TaskSpec(name=self.name, outputs=[head.output for head in heads])

    @abstractmethod
    def check(self, spec: TaskSpec, outputs: Sequence[Port]) -> None:
        """Do the ports fit the task? `outputs` are those that `spec.outputs` names, in that order.

        Raises:
            TfeffError: no; what and how to mend it.
        """

    @abstractmethod
    def decode(self, outputs: Outputs, spec: TaskSpec) -> Any:
        """From real numbers, by port, to what a person would call the answer."""

    def in_image(self, prediction: Any, placement: Any) -> Any:
        """An answer of `decode`, which is in places of the network's input, in places of the image; the same for
        answers without places.

        Args:
            placement: where the image lies in the input; `placement.back(boxes)` maps x1 y1 x2 y2 (n, 4) back.
        """
        return prediction

    @abstractmethod
    def annotations(self, dataset: Any, spec: TaskSpec, outputs: Sequence[Port]) -> Sequence[Any]:
        """What the dataset says of each sample, as `metric` takes it.

        Raises:
            TfeffError: the dataset has no such annotation, or it does not fit the outputs.
        """

    def notes(self, dataset: Any, spec: TaskSpec) -> list[str]:
        """Lines to say about a dataset that `annotations` took, such as what of it is a guess."""
        return []

    def metric(self, spec: TaskSpec) -> Metric | None:
        """A new metric; None for a task without one (`tensors`)."""
        return None

    def same_answer(self, one: Any, other: Any) -> bool | None:
        """Whether two answers of `decode` say the same; None where answers are numbers, which differ by degrees."""
        return None

    def details(self, of_float: Any, of_quantized: Any) -> dict[str, Any]:
        """What the record tells beyond the figure, from the two metrics."""
        return {}

    def tell(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        """`details` in words, (what, how much); they come from a record, so that any of them may be missing or odd."""
        return []

    def criterion(self, spec: TaskSpec, outputs: Sequence[Port]) -> Criterion:
        """What calibration makes small; without annotations. The error of the outputs by default."""
        return OutputError(tuple(spec.outputs))

    def suppression(self, spec: TaskSpec) -> Any:
        """What ends a file in boxes (`suppression.Suppression`); raises TfeffError where the answer is no boxes, or
        others than the operation makes."""
        raise TfeffError(f"--with-nms: the answer of {self.name} is no boxes", "leave it out; it is for detectors")

    def meant(self, spec: TaskSpec) -> tuple[Meant, ...]:
        """What its outputs are, as MediaPipe knows them; raises TfeffError where it has no such task."""
        raise TfeffError(f"--metadata: MediaPipe has no task for {self.name}", "leave it out: the record says it")

    def belief(self, outputs: Outputs, spec: TaskSpec) -> tuple[int, float] | None:
        """The answer as a number, and how sure the network is of it: any figure that grows with that.

        By it, the audit of calibration images tells whether a network would rather see their channels turned round.
        None for tasks whose outputs do not say.
        """
        return None

    @abstractmethod
    def draw(self, image: np.ndarray | None, prediction: Any, spec: TaskSpec) -> Picture:
        """What report, page and app show of an answer."""

    def frames(self, prediction: Any, spec: TaskSpec, beside: Any = None) -> Sequence[Frame]:
        """What of an answer has a place in the image, the surest first; none by default.

        Args:
            beside: the other file's answer, by which `Frame.alone` is told.
        """
        return ()

    def apart(self, one: Any, other: Any) -> float | None:
        """How far two answers are apart, 0 where they say the same; None where no picture can show that (the default).
        By it the images on which two files differ most are found."""
        return None

    def changes(self, of_float: Any, of_quantized: Any, spec: TaskSpec) -> list[str]:
        """In words, what quantizing changed of an answer; nothing where it says the same."""
        return []

    def right(self, annotation: Any, spec: TaskSpec) -> Any:
        """An annotation in the form of an answer, as `frames` and `draw` take it; None where there is no such form."""
        return None

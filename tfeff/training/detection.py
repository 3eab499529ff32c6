"""Detection: how a network learns boxes, and how it is taught by its float twin, as numbers."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfeff.data import Dataset, InputPort
from tfeff.errors import TfeffError
from tfeff.record.schema import TaskSpec
from tfeff.tasks import get_task
from tfeff.tasks.detection_spec import read_spec
from tfeff.training.base import Judge, Training
from tfeff.training.box_batches import BoxBatches
from tfeff.training.detection_losses import QUALITY, AnchorLoss, PointLoss, gathered
from tfeff.training.detection_teaching import loss_of as _of_output
from tfeff.training.detection_teaching import weights as _weights
from tfeff.training.recipe import Recipe
from tfeff.training.tensors import refuse_labels

_LEAST_SIDE = 32  # pixels of the input; a detector has a map at stride 32
_JUDGED = 64  # images at once
_ANCHORED = "softmax"  # the one loss of detectors with anchors


def taught_loss(
    spec: TaskSpec, output: str, scale: float, temperature: float, label_weight: float
) -> keras.losses.Loss:
    """The loss of an output towards the float twin's; raises TfeffError for labels, which are no boxes."""
    return _of_output(read_spec(spec.decode), output) if not label_weight else refuse_labels(spec)


def teaching_weights(spec: TaskSpec, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `taught_loss` wants to know besides of what the twin gives, (n, k) by output."""
    return _weights(read_spec(spec.decode), outputs)


_DEFAULTS = {"batch_size": 32, "label_smoothing": 0.0, "move": 0.1, "input_size": (320, 320), "average": 0.998}


class _Detection(Training):
    losses = (*QUALITY, _ANCHORED)
    defaults = _DEFAULTS

    def check(self, recipe: Recipe, whole: Dataset, test: Dataset) -> None:
        for part in (whole, test):
            if "objects" not in part.annotations:
                raise TfeffError(
                    f"{recipe.dataset}: has no boxes, a detector learns from these",
                    "give images with boxes as COCO (JSON), VOC (XML) or YOLO (text) have them, or fashion_scenes",
                )
        if whole.classes != test.classes:
            raise TfeffError(
                f"{recipe.dataset}: training and test images have different classes", "give both the same ones"
            )
        if not whole.most_objects():
            raise TfeffError(f"{recipe.dataset}: no training image has a box", "give images with boxes")
        if recipe.label_smoothing:
            raise TfeffError(
                f"--label-smoothing {recipe.label_smoothing}: scores of boxes learn how well these lie", "leave it out"
            )
        if min(recipe.input_size) < _LEAST_SIDE:
            raise TfeffError(
                f"--input-size {recipe.input_size[0]}x{recipe.input_size[1]}: too small for a detector",
                f"give at least {_LEAST_SIDE}",
            )

    def student(self, model: Any, spec: TaskSpec) -> Any:
        return gathered(model, read_spec(spec.decode))

    def loss(self, recipe: Recipe, spec: TaskSpec) -> Any:
        numbers = read_spec(spec.decode)
        if numbers.kind == "refined":
            raise TfeffError(
                f"network {recipe.network}: moves its anchors twice; there is no training for that",
                "choose a PicoDet or an SSDLite",
            )
        anchored = numbers.kind == "anchors"
        name = recipe.loss or (_ANCHORED if anchored else next(iter(QUALITY)))
        if anchored != (name == _ANCHORED):
            fitting = (_ANCHORED,) if anchored else QUALITY
            raise TfeffError(f"--loss {name}: not of {recipe.network}", f"choose {' or '.join(fitting)}")
        return AnchorLoss(numbers) if anchored else PointLoss(numbers, name)

    def batches(self, dataset: Dataset, port: InputPort, recipe: Recipe) -> BoxBatches:
        move = recipe.move if recipe.augment else None
        return BoxBatches(dataset, port, recipe.batch_size, move=move, seed=recipe.seed)

    def judge(self, dataset: Dataset, port: InputPort, spec: TaskSpec) -> Judge:
        task = get_task(spec.name)
        annotations, preprocessing = task.annotations(dataset, spec, []), port.preprocessing
        assert preprocessing is not None

        def figures(model: Any) -> dict[str, float]:
            metric: Any = task.metric(spec)
            for numbers, outputs, sizes in self._answers(model, dataset, preprocessing):
                for place, number in enumerate(numbers):
                    one = {name: outputs[name][place] for name in spec.outputs}
                    placement = preprocessing.placement(*sizes[place])
                    metric.add(task.in_image(task.decode(one, spec), placement), annotations[number])
            return {"map": metric.value(), "ap50": metric.at(0.5)}

        return figures

    @staticmethod
    def _answers(model, dataset, preprocessing) -> Iterator[tuple[range, dict[str, np.ndarray], list[tuple[int, int]]]]:
        """Of some images at a time: their numbers, the raw outputs, and their sizes (h, w)."""
        for first in range(0, len(dataset), _JUDGED):
            numbers = range(first, min(first + _JUDGED, len(dataset)))
            images = [dataset.image(number) for number in numbers]
            given = preprocessing.normalize(np.stack([preprocessing.pixels(image) for image in images]))
            made = model.predict_on_batch(given)
            yield numbers, {name: np.asarray(values) for name, values in made.items()}, [i.shape[:2] for i in images]


TRAINING = _Detection()

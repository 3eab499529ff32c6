"""What a task needs of training: its batches, its loss, and how right a network is. One `TRAINING` a task, in the file
of its name; the loop asks for it by name and knows no task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tfeff.data import Dataset, InputPort
from tfeff.errors import TfeffError
from tfeff.networks import get_network
from tfeff.record.schema import TaskSpec
from tfeff.training.recipe import Recipe

Judge = Callable[[Any], dict[str, float]]


class Training(ABC):
    """How networks of a task are trained from their labels.

    Attributes:
        losses: names that `Recipe.loss` takes; the first is taken where it says nothing.
        defaults: of `Recipe`, where the user says nothing and the task wants others than its own.
    """

    losses: Sequence[str] = ()
    defaults: Mapping[str, Any] = {}

    @abstractmethod
    def check(self, recipe: Recipe, whole: Dataset, test: Dataset) -> None:
        """Can networks of this task be trained so, with these samples?

        Raises:
            TfeffError: no; what and how to mend it.
        """

    def check_loss(self, recipe: Recipe) -> None:
        """Has the task the recipe's loss?

        Raises:
            TfeffError: no.
        """
        if recipe.loss is not None and recipe.loss not in self.losses:
            known = f"choose one of {', '.join(self.losses)}" if self.losses else "leave it out"
            raise TfeffError(f"--loss {recipe.loss}: {recipe.network} has no such loss", known)

    def student(self, model: Any, spec: TaskSpec) -> Any:
        """The network as `loss` sees it: a `keras.Model` of the same weights."""
        return model

    @abstractmethod
    def loss(self, recipe: Recipe, spec: TaskSpec) -> Any:
        """A `keras.losses.Loss` of what `batches` gives and what `student` makes of it."""

    @abstractmethod
    def batches(self, dataset: Dataset, port: InputPort, recipe: Recipe) -> Any:
        """A `keras.utils.PyDataset` with `start_epoch(epoch)`, shuffled and augmented by seed and epoch."""

    @abstractmethod
    def judge(self, dataset: Dataset, port: InputPort, spec: TaskSpec) -> Judge:
        """What tells a network's figures on a dataset, in percent and higher is better: {"top1": 91.5}. The first
        decides which epoch is the best."""


def get_training(network: str) -> Training:
    """How a network is trained, by its public name.

    Raises:
        TfeffError: networks of its task are not trained from labels here.
    """
    task = get_network(network).task
    if find_spec(module := f"tfeff.training.{task}") is not None:
        training = getattr(import_module(module), "TRAINING", None)
        if training is not None:
            return training
    raise TfeffError(f"network {network}: its task is {task}, for which there is no training", "train it by yourself")


def recipe_for(network: str, dataset: str, epochs: int, **given: Any) -> Recipe:
    """The recipe with the defaults of the network's task where something is not given, or None.

    Raises:
        TfeffError: as `Recipe`, `get_training` and `Training.check_loss` do.
    """
    training = get_training(network)
    said = {key: value for key, value in given.items() if value is not None}
    recipe = Recipe(network, dataset, epochs, **{**training.defaults, **said})
    training.check_loss(recipe)
    return recipe

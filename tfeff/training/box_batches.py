"""Batches of images with their boxes as a detector learns them, shuffled and augmented."""

import keras
import numpy as np

from tfeff.data import Dataset, InputPort, Preprocessing
from tfeff.training.box_moves import draw_window, moved_boxes, moved_pixels, recoloured

_PRELOAD = 2**30  # bytes of pixels; more than that is read from its files again in every epoch


class BoxBatches(keras.utils.PyDataset):
    """Batches for `fit`: images, float32 (n, h, w, c), and targets, float32 (n, m, 5).

    Targets are boxes, x1 y1 x2 y2 in pixels of the input, and their classes; -1 for what fills up to m, which is the
    same for all batches. Regions of many (COCO's crowds) are left out. Order and noise come from the seed, the epoch
    and the batch's number; a dataset that is made on demand has new samples every epoch.

    Args:
        move: images are mirrored, cut out or made smaller, moved by up to this share of their size, and recoloured;
            None leaves them as they are.
    """

    def __init__(
        self, dataset: Dataset, port: InputPort, batch_size: int, *, move: float | None = None, seed: int | None = None
    ):
        super().__init__()
        assert port.preprocessing is not None
        self.dataset, self.batch_size, self.count = dataset, batch_size, len(dataset)
        self.preprocessing: Preprocessing = port.preprocessing
        self.move, self.seed = move, seed
        self.most = max(1, dataset.most_objects())
        made_anew = dataset.renewed(1) is not dataset
        keep = not made_anew and self.count * int(np.prod(port.shape)) <= _PRELOAD
        self._kept: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = {} if keep else None
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draws the order of the samples for that epoch, and new samples where they are made."""
        self._epoch, self._now = epoch, self.dataset.renewed(epoch)
        self._order = np.arange(self.count)
        if self.seed is not None:
            np.random.default_rng([self.seed, epoch]).shuffle(self._order)

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
        random = np.random.default_rng([self.seed or 0, self._epoch, batch])
        images = np.empty((len(numbers), *self.preprocessing.shape), np.uint8)
        targets = np.zeros((len(numbers), self.most, 5), np.float32)
        targets[..., 4] = -1
        for place, number in enumerate(numbers):
            images[place], boxes, classes = self._sample(int(number), random)
            targets[place, : len(boxes), :4], targets[place, : len(boxes), 4] = boxes, classes
        return self.preprocessing.normalize(images if self.move is None else recoloured(images, random)), targets

    def _sample(self, number, random):
        pixels, boxes, classes = self._read(number)
        if self.move is None:
            return pixels, boxes, classes
        window = draw_window(random, self.preprocessing.size, self.move)
        boxes, seen = moved_boxes(boxes, window, self.preprocessing.size)
        return moved_pixels(pixels, window), boxes[seen], classes[seen]

    def _read(self, number):
        """uint8 (h, w, c) as the input has it, boxes (k, 4) in its pixels, classes (k,)."""
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        image, objects = self._now.image(number), self._now.annotations["objects"][number]
        single = ~objects.crowd
        size = self.preprocessing.size
        placed = self.preprocessing.placement(*image.shape[:2]).there(objects.boxes[single])
        boxes = np.clip(placed, 0, [size[1], size[0]] * 2)
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # what the centre cut leaves
        found = self.preprocessing.pixels(image), boxes[there], objects.classes[single][there]
        if self._kept is not None:
            self._kept[number] = found
        return found

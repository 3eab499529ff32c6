"""A folder of images with boxes, in whichever of the usual forms it is."""

from pathlib import Path

from tfeff.data.coco import find_coco, open_coco
from tfeff.data.folders import Opened
from tfeff.data.voc import find_voc, open_voc
from tfeff.data.yolo import find_yolo, open_yolo


def open_boxes(folder: Path, split: str) -> Opened | None:
    """Opens a folder of COCO's, VOC's or YOLO's form; None where it is none of them.

    Args:
        split: "train" or "test".

    Raises:
        TfeffError: it is one of them, and damaged, or without this split.
    """
    name = str(folder)
    if found := find_coco(folder, split):
        return Opened(open_coco(found[0], name, split), found[1])
    if found := find_voc(folder, split):
        return Opened(open_voc(found[0], folder, name, split), found[1])
    if places := find_yolo(folder, split):
        return Opened(open_yolo(places[0], places[1], folder, name), places[2])
    return None

"""Images with boxes in COCO's, VOC's and YOLO's form, as people have them, and what is refused."""

import json
import re

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from PIL import Image
from port_models import write_pair

from tfeff import TfeffError
from tfeff.data import open_dataset

SIZE = (40, 60)  # h, w
# image -> (class, box, crowd or difficult); the third has none
TRUTH = {
    "a": [("cat", (3, 4, 20, 30), False), ("dog", (0, 0, 60, 40), True)],
    "b": [("dog", (10.5, 2.25, 30, 8), False)],
    "c": [],
}
CLASSES = ("cat", "dog")


def pictures(folder, names=TRUTH, suffix=".png", size=SIZE):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("L", size[::-1], 10 * number).save(folder / f"{name}{suffix}")


def coco(change=None, truth=TRUTH, suffix=".png"):
    """As text; `change` may alter it."""
    images = [{"id": 10 * number, "file_name": f"{name}{suffix}", "height": SIZE[0], "width": SIZE[1], "license": 1}
              for number, name in enumerate(truth)]  # fmt: skip
    boxes = [
        {"id": 100 * number + place, "image_id": 10 * number, "category_id": {"cat": 3, "dog": 7}[kind], "area": 1.0,
         "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "iscrowd": int(flag),
         "segmentation": {"counts": [1, 2], "size": [3, 4]} if flag else [[1.5, 2, 3, 4]]}
        for number, rows in enumerate(truth.values()) for place, (kind, box, flag) in enumerate(rows)
    ]  # fmt: skip
    held = {"info": {}, "images": images, "annotations": boxes,
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat", "supercategory": "x"}]}  # fmt: skip
    if change:
        change(held)
    return json.dumps(held)


def voc(name, rows, size=SIZE):
    things = "".join(
        f"<object><name>{kind}</name><difficult>{int(flag)}</difficult><part><name>head</name><bndbox><xmin>9</xmin>"
        f"<ymin>9</ymin><xmax>10</xmax><ymax>10</ymax></bndbox></part><bndbox><xmin>{box[0] + 1}</xmin>"
        f"<ymin>{box[1] + 1}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for kind, box, flag in rows
    )
    return (f"<?xml version='1.0'?>\n<annotation><filename>{name}.png</filename><size><width>{size[1]}</width><height>"
            f"{size[0]}</height><depth>3</depth></size>{things}</annotation>")  # fmt: skip


def yolo(rows):
    height, width = SIZE
    return "".join(
        f"{CLASSES.index(kind)} {(box[0] + box[2]) / 2 / width} {(box[1] + box[3]) / 2 / height} "
        f"{(box[2] - box[0]) / width} {(box[3] - box[1]) / height}\n"
        for kind, box, _ in rows
    )


def coco_one_file(folder):
    pictures(folder)
    (folder / "_annotations.coco.json").write_text(coco())


def coco_official(folder):
    pictures(folder / "val2017")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_val2017.json").write_text(coco())
    (folder / "annotations" / "captions_val2017.json").write_text("{}")
    (folder / "annotations" / "image_info_test2017.json").write_text(coco())
    pictures(folder / "train2017", ["t"])
    (folder / "annotations" / "instances_train2017.json").write_text(coco(truth={"t": []}))


def coco_by_folder(folder):
    pictures(folder / "valid")
    (folder / "valid" / "_annotations.coco.json").write_text(coco())


def voc_official(folder):
    pictures(folder / "JPEGImages", [*TRUTH, "t"])
    (folder / "Annotations").mkdir()
    for name, rows in {**TRUTH, "t": []}.items():
        (folder / "Annotations" / f"{name}.xml").write_text(voc(name, rows))
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "val.txt").write_text("a\nb 1\nc\n")
    (folder / "ImageSets" / "Main" / "train.txt").write_text("t\n")


def voc_beside(folder):
    pictures(folder)
    for name, rows in TRUTH.items():
        (folder / f"{name}.xml").write_text(voc(name, rows))


def write_yolo(images, labels):
    pictures(images)
    labels.mkdir(parents=True, exist_ok=True)
    for name, rows in TRUTH.items():
        if rows:
            (labels / f"{name}.txt").write_text(yolo(rows))


def yolo_kinds_first(folder):
    write_yolo(folder / "images" / "val", folder / "labels" / "val")
    (folder / "data.yaml").write_text("# data\npath: .\nnames:\n  0: cat\n  1: 'dog'  # a dog\nnc: 2\n")


def yolo_splits_first(folder):
    write_yolo(folder / "valid" / "images", folder / "valid" / "labels")
    (folder / "data.yaml").write_text("train: x\nnc: 2\nnames: ['cat', \"dog\"]\n")


def yolo_beside(folder):
    write_yolo(folder, folder)
    (folder / "classes.txt").write_text("cat\ndog\n")


FORMS = [coco_one_file, coco_official, coco_by_folder, voc_official, voc_beside, yolo_kinds_first, yolo_splits_first,
         yolo_beside]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_the_forms_that_people_have(form, tmp_path):
    form(tmp_path)
    dataset = open_dataset(str(tmp_path), "test", whole=True)
    assert (dataset.classes, dataset.labels, len(dataset)) == (CLASSES, None, 3)
    flags = {"coco": "crowd", "voc_": "difficult"}.get(form.__name__[:4])
    for number, (name, rows) in enumerate(TRUTH.items()):
        objects = dataset.annotations["objects"][number]
        assert dataset.names[number].endswith(f"{name}.png")
        assert dataset.image(number)[0, 0] == 10 * number
        assert objects.boxes == pytest.approx(np.array([box for _, box, _ in rows]).reshape(-1, 4), abs=1e-9)
        assert [CLASSES[kind] for kind in objects.classes] == [kind for kind, _, _ in rows]
        for flag in ("crowd", "difficult"):
            assert getattr(objects, flag).tolist() == [each and flag == flags for _, _, each in rows]


@pytest.mark.parametrize("form", [coco_official, voc_official], ids=lambda form: form.__name__)
def test_the_training_part_is_apart(form, tmp_path):
    form(tmp_path)
    assert [name[-5] for name in open_dataset(str(tmp_path), "train").names] == ["t"]
    assert [name[-5] for name in open_dataset(str(tmp_path), "train", labelled=False).names] == ["t"]


@pytest.mark.parametrize("form", [coco_by_folder, yolo_splits_first], ids=lambda form: form.__name__)
def test_a_part_that_is_not_there(form, tmp_path):
    form(tmp_path)
    with pytest.raises(TfeffError, match=r"has no train (annotations|labels) beside"):
        open_dataset(str(tmp_path), "train")


def test_without_parts_a_seeded_tenth_is_the_test(tmp_path):
    names = {f"{number:02}": [("cat", (0, 0, 5, 5), False)] for number in range(20)}
    pictures(tmp_path, names)
    (tmp_path / "annotations.json").write_text(coco(truth=names))
    test, train = (open_dataset(str(tmp_path), split) for split in ("test", "train"))
    assert (len(test), len(train), set(test.names) & set(train.names)) == (2, 18, set())
    assert len(test.annotations["objects"]) == 2
    whole = open_dataset(str(tmp_path / "annotations.json"), "test", whole=True)
    assert len(whole) == 20


def test_folders_of_classes_stay_what_they_were(tmp_path):
    for name in ("annotations", "labels"):
        pictures(tmp_path / name)
    (tmp_path / "annotations" / "notes.json").write_text("{}")
    (tmp_path / "labels" / "a.txt").write_text("a note")
    assert open_dataset(str(tmp_path), "train").classes == ("annotations", "labels")


def test_boxes_a_little_outside_are_cut_off_and_counted(tmp_path):
    pictures(tmp_path)
    held = {**TRUTH, "b": [("dog", (-0.5, 2, 61.5, 40), False)]}
    (tmp_path / "annotations.json").write_text(coco(truth=held))
    dataset = open_dataset(str(tmp_path), "test", whole=True)
    assert dataset.annotations["objects"][1].boxes.tolist() == [[0, 2, 60, 40]]
    assert [note.partition(": ")[2] for note in dataset.notes] == [
        "1 box cut off at the border of the image, up to 2 px"
    ]


@pytest.mark.parametrize("form", [coco_one_file, voc_beside, yolo_beside], ids=lambda form: form.__name__)
def test_boxes_without_area_are_left_out_and_counted(form, tmp_path):
    """COCO's own training images have some; the other boxes of the image stay."""
    kept = TRUTH["b"]
    TRUTH["b"] = [*kept, ("cat", (5, 6, 5, 9), False), ("cat", (60, 6, 60.5, 9), False)][
        : 2 if form is voc_beside else 3
    ]
    try:
        form(tmp_path)
    finally:
        TRUTH["b"] = kept
    dataset = open_dataset(str(tmp_path), "test", whole=True)
    assert dataset.annotations["objects"][1].boxes == pytest.approx(np.array([[10.5, 2.25, 30, 8]]))
    assert len(dataset.annotations["objects"][0].classes) == 2
    (note,) = [each for each in dataset.notes if "without area" in each]
    assert note.partition(": ")[2].startswith(f"{1 if form is voc_beside else 2} box")
    assert ("annotation 101" in note) == (form is coco_one_file)
    assert ("b.txt, line 2" in note) == (form is yolo_beside)


def test_shares_are_of_the_image_as_it_is_turned_upright(tmp_path):
    """A photo that lies on its side in the file."""
    write_yolo(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (40, 60)).save(tmp_path / "images" / "a.png", exif=exif)
    dataset = open_dataset(str(tmp_path), "test", whole=True)
    assert dataset.image(0).shape == SIZE
    assert dataset.annotations["objects"][0].boxes[0] == pytest.approx([3, 4, 20, 30])


def change_of(kind):
    def change(held):
        first = held["annotations"][0]
        {
            "outside": lambda: first.update(bbox=[50, 4, 20, 26]),
            "far outside": lambda: first.update(bbox=[-90, 4, 20, 26]),
            "no area": lambda: [each.update(bbox=[3, 4, 0, 26]) for each in held["annotations"][:2]],
            "negative": lambda: first.update(bbox=[30, 4, -10, 26]),
            "three numbers": lambda: first.update(bbox=[1, 2, 3]),
            "text": lambda: first.update(bbox=[1, 2, 3, "4"]),
            "infinite": lambda: first.update(bbox=[1, 2, 3, 1e400]),
            "unknown class": lambda: first.update(category_id=4),
            "unknown image": lambda: first.update(image_id=5),
            "missing image": lambda: held["images"][0].update(file_name="z.png"),
            "above": lambda: held["images"][0].update(file_name="../a.png"),
            "absolute": lambda: held["images"][0].update(file_name="/etc/a.png"),
            "a drive": lambda: held["images"][0].update(file_name="C:\\a.png"),
            "image twice": lambda: held["images"][1].update(id=0),
            "class twice": lambda: held["categories"][0].update(name="cat"),
            "id twice": lambda: held["categories"][0].update(id=3),
            "no size": lambda: held["images"][0].pop("width"),
            "no images": lambda: held.update(images=[], annotations=[]),
            "no categories": lambda: held.pop("categories"),
            "no classes": lambda: held.update(categories=[]),
        }[kind]()

    return change


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("outside", "annotations.json, annotation 0: a box outside its image of 40 x 60, height x width \\(left 50"),
        ("far outside", "a box outside its image"),
        (
            "no area",
            "2 boxes without area, more than with one, the first: .*annotation 0 \\(left 3, top 4, right 3, bot",
        ),
        ("negative", "annotation 0: a box that ends before it begins"),
        ("three numbers", "annotations\\[0\\].bbox"),
        ("text", "annotations\\[0\\].bbox"),
        ("infinite", "a box with a side that is no finite number|out of range|not a readable JSON"),
        ("unknown class", "annotation 0: unknown class, there is no category 4"),
        ("unknown image", "annotation 0: there is no image 5"),
        ("missing image", "image 0: there is no image 'z.png'"),
        ("above", "image 0: the image '../a.png' does not lie below it"),
        ("absolute", "does not lie below it"),
        ("a drive", "does not lie below it"),
        ("image twice", "image 0: there are two of this id"),
        ("class twice", "the class 'cat' twice"),
        ("id twice", "two categories of one id"),
        ("no size", "image 0: its height and width are missing"),
        ("no images", "names no images"),
        ("no categories", "missing required field categories"),
        ("no classes", "names no classes"),
    ],
)
def test_coco_that_is_wrong(tmp_path, kind, message, refused):
    pictures(tmp_path)
    text = coco(change_of(kind)).replace("Infinity", "1e400")
    (tmp_path / "annotations.json").write_text(text)
    refused(tmp_path / "annotations.json", message)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files that can be compared; what they compute is never asked, for the dataset is opened first."""
    return write_pair(tmp_path_factory.mktemp("files"))


@pytest.fixture
def refused(files, capfd):
    """Refused by `open_dataset`, and by the command that is given it: exit code 2, what is wrong, how to mend it."""

    def check(path, message):
        with pytest.raises(TfeffError, match=message) as raised:
            open_dataset(str(path), "test", whole=True)
        assert raised.value.exit_code == 2
        assert "\n" not in raised.value.what
        assert raised.value.mend
        ran = tfeff(capfd, "compare", files[0], "--against", files[1], "--dataset", path, "--no-record")
        assert_refused(ran)
        assert re.search(message, " ".join(ran.err.split()))

    return check


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": 1, "categories": []}', "[" * 5000, "\ufeff{}", "null"])
def test_json_that_is_none(tmp_path, text, refused):
    (tmp_path / "a.json").write_text(text)
    refused(tmp_path / "a.json", "a.json: ")


def test_a_size_that_is_not_the_images(tmp_path):
    pictures(tmp_path, size=(20, 60))
    (tmp_path / "annotations.json").write_text(coco())
    with pytest.raises(TfeffError, match="is 20 x 60, height x width, turned upright; its annotation says 40 x 60"):
        open_dataset(str(tmp_path), "test", whole=True).image(0)


ENTITY = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><annotation><filename>&c;</filename></annotation>"
OUTER = "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><annotation/>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTITY, "a.xml: has a document type or entities"),
        (OUTER, "a.xml: has a document type or entities"),
        ("<annotation>", "a.xml: not a readable XML"),
        ("", "a.xml: not a readable XML"),
        ("<?xml version='1.0' encoding='no-such'?><annotation/>", "a.xml: not a readable XML"),
        ("<a>" * 40 + "</a>" * 40, "nested too deep"),
        ("<html/>", "its element is <html>"),
        ("<annotation/>", "<size> without <height>"),
        (voc("a", []).replace(">60<", ">wide<"), "<width> 'wide' is no number"),
        (voc("a", []).replace(">60<", ">0<"), "its image is 40 x 0"),
        (voc("a", [("cat", (3, 4, 200, 30), False)]), "a.xml: a box outside its image of 40 x 60"),
        (voc("a", [("cat", (3, 4, 2, 30), False)]), "a.xml: a box that ends before it begins"),
        (voc("a", [("cat", (3, 4, 3, 30), False)] * 2), "2 boxes without area, more than with one, the first: .*a.xml"),
        (voc("a", [("cat", (3, 4, 20, 30), False)]).replace("<xmax>20", "<xmax>nan"), "no finite number"),
        (voc("a", [("cow", (3, 4, 20, 30), False)]), "unknown class 'cow', which classes.txt does not name"),
        (voc("a", [("", (3, 4, 20, 30), False)]), "<object> without <name>"),
        (voc("a", [("cat", (3, 4, 20, 30), False)]).replace("<xmax>20</xmax>", ""), "<bndbox> without <xmax>"),
    ],
)  # fmt: skip
def test_voc_that_is_wrong(tmp_path, text, message, refused):
    voc_beside(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "a.xml").write_text(text)
    refused(tmp_path, message)


def test_voc_without_an_image_and_the_other_way_round(tmp_path, refused):
    voc_beside(tmp_path)
    (tmp_path / "d.xml").write_text(voc("d", []))
    refused(tmp_path, "d.xml: there is no image for it, neither 'd' nor 'd.png'")
    (tmp_path / "d.xml").unlink()
    (tmp_path / "c.xml").unlink()
    assert open_dataset(str(tmp_path), "test", whole=True).notes == (f"{tmp_path}: 1 image left out, without an XML",)
    voc_official(tmp_path / "voc")
    (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").write_text("a\nz\n")
    refused(tmp_path / "voc", "its test list names 'z', which has no XML")


def test_an_xml_of_many_megabytes(tmp_path, refused):
    voc_beside(tmp_path)
    with (tmp_path / "a.xml").open("w") as file:
        file.write("<annotation>" + " " * 2**22 + "</annotation>")
    refused(tmp_path, "a.xml: larger than 4 MiB")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "a.txt, line 2: 4 numbers are no box and no outline"),
        ("0 0.5 0.5 0.2 0.2 0.9", "6 numbers are no box"),
        ("0 0.5 0.5 0.2 x", "are no numbers"),
        ("2 0.5 0.5 0.2 0.2", "line 2: unknown class 2, there are names for 2"),
        ("-1 0.5 0.5 0.2 0.2", "unknown class -1"),
        ("0.5 0.5 0.5 0.2 0.2", "class 0.5 is no whole number"),
        ("nan 0.5 0.5 0.2 0.2", "class nan is no whole number"),
        ("0 0.5 0.5 -0.1 0.2", "line 2: a box that ends before it begins"),
        ("0 0.5 0.5 0 0.2\n" * 3, "3 boxes without area, more than with one, the first: .*a.txt, line 2"),
        ("0 0.95 0.5 0.2 0.2", "line 2: a box outside its image"),
        ("0 300 200 20 20", "line 2: a box outside its image"),
        ("0 nan 0.5 0.2 0.2", "no finite number"),
    ],
)
def test_yolo_that_is_wrong(tmp_path, line, message, refused):
    yolo_beside(tmp_path)
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.2 0.2\n{line}\n")
    refused(tmp_path, message)


def test_yolo_outlines_and_files_that_do_not_fit(tmp_path, refused):
    yolo_beside(tmp_path)
    (tmp_path / "a.txt").write_text("1 0.1 0.2 0.5 0.1 0.3 0.9\n")
    objects = open_dataset(str(tmp_path), "test", whole=True).annotations["objects"][0]
    assert objects.boxes == pytest.approx(np.array([[6, 4, 30, 36]]))
    (tmp_path / "z.txt").write_text("")
    refused(tmp_path, "z.txt: there is no image for it")
    (tmp_path / "z.txt").unlink()
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    refused(tmp_path, "b.txt: is no text in UTF-8")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, dog]", ["cat", "dog"]),
        ("names: ['cat, big', \"dog\"]  # two", ["cat, big", "dog"]),
        ("names: [cat,\n  dog]\nnc: 2", ["cat", "dog"]),
        ("names: {0: cat, 1: dog}", ["cat", "dog"]),
        ("names:\n- cat\n- dog\nnc: 2", ["cat", "dog"]),
        ("names:\n  - cat\n  - 'dog'\n", ["cat", "dog"]),
        ("nc: 2\nnames:\n    0: cat\n    1: dog\n", ["cat", "dog"]),
        ("names: data.names", "`names` is 'data.names'"),
        ("names:\n  1: cat\n  2: dog", "are not numbered 0, 1, 2"),
        ("nc: 2", "has no `names`"),
        ("names: []", "names no classes"),
        ("names: [cat, cat]", "the class 'cat' twice"),
    ],
)
def test_names_of_a_data_yaml(tmp_path, text, names, refused):
    write_yolo(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "data.yaml").write_text(text)
    if isinstance(names, str):
        refused(tmp_path, names)
    else:
        assert open_dataset(str(tmp_path), "test", whole=True).classes == tuple(names)


def test_yolo_without_names(tmp_path, refused):
    write_yolo(tmp_path / "images", tmp_path / "labels")
    refused(tmp_path, "nothing names its classes")

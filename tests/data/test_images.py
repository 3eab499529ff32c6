"""Image files: what is read, and what is refused by name."""

import os

import numpy as np
import pytest
from PIL import Image

from tfeff import TfeffError
from tfeff.data.files import list_files, list_images
from tfeff.data.images import _avif_bits as avif_bits
from tfeff.data.images import image_suffixes, read_image, upright_size

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 10), dtype=np.uint8)


def saved(path, array, mode=None, **options):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def with_alpha(array, alpha):
    channels = array[..., None] if array.ndim == 2 else array
    return np.concatenate([channels, np.broadcast_to(alpha, (*array.shape[:2], 1)).astype(np.uint8)], axis=2)


def refusal(path):
    """The error for a file; it must name the file and say how to mend it."""
    with pytest.raises(TfeffError) as raised:
        read_image(path)
    assert str(path) in raised.value.what
    assert "\n" not in raised.value.what
    assert raised.value.mend
    return raised.value.what


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".ppm", ".PNG"])
def test_rgb(tmp_path, suffix):
    np.testing.assert_array_equal(read_image(saved(tmp_path / f"a{suffix}", RGB)), RGB)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm"])
def test_grey_stays_grey(tmp_path, suffix):
    result = read_image(saved(tmp_path / f"a{suffix}", GREY))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, GREY)


def test_jpeg(tmp_path):
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    colour = np.stack([smooth, smooth.T, 255 - smooth], axis=2)
    for array in (smooth, colour):
        result = read_image(saved(tmp_path / "a.jpg", array, quality=95))
        assert result.shape == array.shape
        assert np.abs(result.astype(int) - array).mean() < 6


def test_palette_is_its_colours(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], np.uint8)
    numbers = RNG.integers(0, 3, (5, 4), dtype=np.uint8)
    image = Image.frombytes("P", (4, 5), numbers.tobytes())
    image.putpalette(colours.tobytes())
    for suffix in (".png", ".gif"):
        np.testing.assert_array_equal(read_image(saved(tmp_path / f"a{suffix}", image)), colours[numbers])


def test_1_bit_is_black_and_white(tmp_path):
    result = read_image(saved(tmp_path / "a.png", Image.fromarray(GREY > 99)))
    np.testing.assert_array_equal(result, np.where(GREY > 99, 255, 0))


@pytest.mark.parametrize("array", [RGB, GREY], ids=["rgb", "grey"])
def test_opaque_alpha_is_the_same_image(tmp_path, array):
    result = read_image(saved(tmp_path / "a.png", with_alpha(array, 255)))
    expected = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("array", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("alpha", [0, 254])
def test_transparent_pixels_are_refused(tmp_path, array, alpha):
    image = with_alpha(array, 255)
    image[3, 4, -1] = alpha  # one is enough
    assert "transparent" in refusal(saved(tmp_path / "a.png", image))


def test_transparent_colour_is_refused_only_where_it_occurs(tmp_path):
    image = np.full((4, 4, 3), (1, 2, 3), np.uint8)
    assert "transparent" in refusal(saved(tmp_path / "a.png", image, transparency=(1, 2, 3)))
    np.testing.assert_array_equal(read_image(saved(tmp_path / "b.png", image, transparency=(9, 9, 9))), image)


def test_transparent_palette_is_refused(tmp_path):
    image = Image.frombytes("P", (4, 4), bytes([0, 1] * 8))
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert "transparent" in refusal(saved(tmp_path / "a.png", image, transparency=1))
    assert "transparent" in refusal(saved(tmp_path / "a.gif", image, transparency=1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_refused(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}", GREY.astype(np.uint16) * 200)
    assert "more than 8 bits" in refusal(path)


def test_float_tiff_is_refused(tmp_path):
    assert "F holds more than 8 bits" in refusal(saved(tmp_path / "a.tif", GREY.astype(np.float32)))


def test_32_bit_tiff_is_refused(tmp_path):
    assert "I holds more than 8 bits" in refusal(saved(tmp_path / "a.tif", GREY.astype(np.int32)))


def png_16_bit(path, colour_type, channels):
    """Pillow writes no 16-bit colour, so the file is put together here."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = RNG.integers(0, 65536, (4, 5, channels)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 5, 4, 16, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_png_of_every_kind_is_refused(tmp_path, colour_type, channels):
    # Pillow opens the coloured ones as 8-bit RGB and drops the lower half without a word.
    assert "more than 8 bits" in refusal(png_16_bit(tmp_path / "a.png", colour_type, channels))


def test_16_bits_a_pixel_is_not_16_bits_a_channel(tmp_path):
    import struct

    row = struct.pack("<HH", 0b11111_000000_00000, 0b00000_000000_11111)  # 5-6-5: red, blue
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, len(row), 0, 0, 0, 0)
    offset = 14 + len(header) + len(masks)
    data = b"BM" + struct.pack("<IHHI", offset + len(row), 0, 0, offset) + header + masks + row
    (tmp_path / "a.bmp").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), [[[255, 0, 0], [0, 0, 255]]])


def test_cmyk_jpeg(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    result = read_image(saved(tmp_path / "a.jpg", image, quality=95))
    assert result.shape == (16, 16, 3)
    assert np.abs(result.astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a, -1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_rotation_is_applied(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", RGB, exif=exif)), turn(RGB))
    smooth = np.zeros((32, 16, 3), np.uint8)
    smooth[:16] = 255
    result = read_image(saved(tmp_path / "a.jpg", smooth, exif=exif, quality=95))
    assert np.abs(result.astype(int) - turn(smooth)).max() < 16


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    path = saved(tmp_path / f"a{suffix}", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "cannot be read" in refusal(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".tif", ".webp", ".bmp"])
def test_damaged_files_never_give_a_traceback(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}", RGB)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(60):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, len(damaged), 8)
        damaged[places] = rng.integers(0, 256, 8)
        path.write_bytes(damaged.tobytes())
        try:
            read_image(path)  # damage that only changes pixels goes unnoticed
        except TfeffError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("content", [b"", b"not an image, but text\n" * 20, b"\0" * 500])
def test_no_image_is_refused(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert "not an image" in refusal(path)


def test_missing_file_and_folder(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder.png")


def test_list_is_sorted_by_path_and_leaves_out_what_is_hidden_or_no_image(tmp_path):
    wanted = ["a.png", "b/C.JPG", "b/a.jpeg", "b/deep/er/x.Tiff", "c/z.webp"]
    others = [".hidden.png", "b/.thumbs/a.png", "b/notes.txt", "labels.csv", "noext", "c/._z.webp"]
    for name in wanted + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)] == wanted


def test_list_works_below_a_hidden_folder(tmp_path):
    folder = tmp_path / ".cache" / "set"
    folder.mkdir(parents=True)
    (folder / "a.png").touch()
    assert list_images(folder) == [folder / "a.png"]


def test_list_follows_links_but_not_in_circles(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cats").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "set")
    assert list_images(tmp_path / "set") == [tmp_path / "set" / "cats" / "a.png"]


@pytest.mark.parametrize(
    "suffix", [".jfif", ".jpe", ".webp", ".jp2", ".j2k", ".tga", ".pcx", ".sgi", ".ico", ".dib", ".avif", ".mpo"]
)
def test_other_suffixes_of_pillow(tmp_path, suffix):
    if suffix not in image_suffixes():
        assert suffix == ".avif"  # Pillow may be built without
        return
    options = {".webp": {"lossless": True}, ".avif": {"quality": 100}, ".ico": {"sizes": [(16, 16)]}}.get(suffix, {})
    smooth = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=2)
    result = read_image(saved(tmp_path / f"a{suffix}", smooth, **options))
    assert result.shape == (16, 16, 3)
    assert np.abs(result.astype(int) - smooth).mean() < 6
    assert list_images(tmp_path) == [tmp_path / f"a{suffix}"]


def ppm(kind, top, values):
    return f"{kind}\n2 2\n{top}\n".encode() + values


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rgb.ppm", ppm("P6", 65535, bytes(24))),
        ("ten_bits.ppm", ppm("P6", 1023, bytes(24))),
        ("text.ppm", ppm("P3", 4095, b"0 1 2 " * 4)),
        ("grey.pgm", ppm("P5", 65535, bytes(8))),
    ],
)
def test_more_than_8_bits_of_a_netpbm_file(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert "more than 8 bits" in refusal(tmp_path / name)


def test_more_than_8_bits_of_formats_that_pillow_makes_8_of(tmp_path):
    saved(tmp_path / "deep.sgi", RGB, bpc=2)
    assert "16-bit SGI" in refusal(tmp_path / "deep.sgi")
    plain = saved(tmp_path / "plain.jp2", RGB).read_bytes()
    size = plain.find(b"\xff\x4f\xff\x51")
    deep = bytearray(plain)
    deep[size + 42] = 11  # of the first component: 12 bits
    (tmp_path / "deep.jp2").write_bytes(deep)
    assert "12-bit JPEG2000" in refusal(tmp_path / "deep.jp2")
    if ".avif" in image_suffixes():
        deep = bytearray(saved(tmp_path / "plain.avif", RGB).read_bytes())
        deep[deep.find(b"av1C") + 6] |= 0x40
        assert avif_bits(bytes(deep)) == 10  # Pillow writes no such file, and refuses one that only says so


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.tif", "photo.jfif"])
def test_postscript_starts_no_ghostscript(tmp_path, monkeypatch, name):
    ghost = tmp_path / "bin" / "gs"
    ghost.parent.mkdir()
    ghost.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", str(ghost.parent), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    drawing = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / name).write_text(drawing)
    assert "not an image" in refusal(tmp_path / name)
    with pytest.raises(TfeffError, match="not an image"):  # nor is its size read
        upright_size(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, upright_size):
        with pytest.raises(TfeffError, match="not a regular file"):
            read(tmp_path / "a.png")


def test_system_files_and_folders_are_left_out_unsaid_and_others_are_counted(tmp_path):
    for name in ("a/1.png", "a/.DS_Store", "a/Thumbs.db", "a/._1.png", "__MACOSX/a/1.png", "@eaDir/1.png", "b/2.png",
                 ".ipynb_checkpoints/1.png", "a/@eaDir/1.png", "a/x.heic", "b/Y.HEIC", "b/notes.txt", "b/README",
                 "desktop.ini", "labels.csv"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listed = list_files(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in listed.images] == ["a/1.png", "b/2.png"]
    assert listed.left_out == {".heic": 2, ".txt": 1, "": 1}
    (note,) = listed.notes("set")
    assert note == "set: 4 files left out, not read as images: 2 .heic, 1 .txt, 1 without a suffix"

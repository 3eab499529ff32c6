"""Frames of a video: with an `ffmpeg` on PATH that speaks as the real one does, with the real one, and without."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfeff.calibration import collect
from tfeff.data import Preprocessing, image_port
from tfeff.errors import TfeffError

PREPROCESSING = Preprocessing(size=(16, 16))
FRAMES = np.random.default_rng(8).integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A stand-in: counts frames for `-f null`, writes them as PPM for image2pipe, fails for a file named broken."""
    folder = tmp_path / "bin"
    folder.mkdir()
    np.save(tmp_path / "frames.npy", FRAMES)
    script = folder / "ffmpeg"
    script.write_text(
        f"#!{sys.executable}\n"
        "import sys, numpy as np\n"
        f"frames = np.load({str(tmp_path / 'frames.npy')!r})\n"
        "if 'broken' in sys.argv[sys.argv.index('-i') + 1]:\n"
        "    print('moov atom not found', file=sys.stderr); sys.exit(1)\n"
        "if 'null' in sys.argv:\n"
        "    print('frame=3\\nprogress=continue\\nframe=%d\\nprogress=end' % len(frames)); sys.exit()\n"
        "assert sys.argv[-6:] == ['image2pipe', '-c:v', 'ppm', '-pix_fmt', 'rgb24', '-'], sys.argv\n"
        "for frame in frames:\n"
        "    sys.stdout.buffer.write(b'P6\\n%d %d\\n255\\n' % frame.shape[1::-1] + frame.tobytes())\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return script


def gather(path, tmp_path, **options):
    return collect(str(path), [image_port(PREPROCESSING)], tmp_path, **options)


def test_every_frame_when_all_are_wanted(ffmpeg, tmp_path):
    (tmp_path / "drive.mp4").write_bytes(b"video")
    calibration = gather(tmp_path / "drive.mp4", tmp_path)
    assert (calibration.found, calibration.used) == (30, 30)
    np.testing.assert_array_equal(calibration.batch()["image"], np.stack([PREPROCESSING(frame) for frame in FRAMES]))
    assert calibration.names[7] == "frame 7 of drive.mp4"


def test_a_seeded_choice_of_frames(ffmpeg, tmp_path):
    (tmp_path / "drive.mp4").write_bytes(b"video")
    first = gather(tmp_path / "drive.mp4", tmp_path, samples=5, seed=3)
    names = list(first.names)
    numbers = [int(name.split()[1]) for name in names]
    assert first.used == 5
    assert numbers == sorted(numbers)
    np.testing.assert_array_equal(first.batch()["image"], np.stack([PREPROCESSING(FRAMES[n]) for n in numbers]))
    assert list(gather(tmp_path / "drive.mp4", tmp_path, samples=5, seed=3).names) == names
    assert list(gather(tmp_path / "drive.mp4", tmp_path, samples=5, seed=4).names) != names


def test_too_few_frames(ffmpeg, tmp_path):
    (tmp_path / "drive.mp4").write_bytes(b"video")
    with pytest.raises(TfeffError, match="30 images, 31 were asked for"):
        gather(tmp_path / "drive.mp4", tmp_path, samples=31)


def test_a_broken_video_is_named(ffmpeg, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"video")
    with pytest.raises(TfeffError, match=r"broken\.mp4: ffmpeg cannot read it \(moov atom not found\)"):
        gather(tmp_path / "broken.mp4", tmp_path)


def test_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "drive.mp4").write_bytes(b"video")
    with pytest.raises(TfeffError, match="ffmpeg, which is not on PATH"):
        gather(tmp_path / "drive.mp4", tmp_path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_the_real_ffmpeg(tmp_path):
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "16x16", "-r", "10", "-i", "-"]
    command = ["ffmpeg", "-v", "error", *source, "-c:v", "ffv1", "-pix_fmt", "bgr0", str(tmp_path / "real.mkv")]
    subprocess.run(command, input=FRAMES.tobytes(), check=True)
    calibration = gather(tmp_path / "real.mkv", tmp_path)
    np.testing.assert_array_equal(calibration.batch()["image"], np.stack([PREPROCESSING(frame) for frame in FRAMES]))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(TfeffError, match="ffmpeg cannot read it"):
        gather(tmp_path / "text.mp4", tmp_path)

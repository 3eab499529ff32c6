"""Frames of a video file, decoded by ffmpeg into a pipe, one in memory at a time."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tfeff.errors import TfeffError

VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv"}


def is_video(path: Path) -> bool:
    """Whether this is a file with a video's suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def count_frames(path: Path) -> int:
    """How many frames the first video stream holds, counted without decoding them.

    Raises:
        TfeffError: no ffmpeg on PATH, or it finds no video in the file.
    """
    command = [_ffmpeg(path), *_input(path), "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    counts = [line.partition("=")[2] for line in ran.stdout.splitlines() if line.startswith("frame=")]
    if ran.returncode or not counts or not counts[-1].strip().isdigit():
        raise _unreadable(path, ran.stderr)
    return int(counts[-1])


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of these numbers, ascending: (number, uint8 (h, w, 3) in RGB order). Ends where the video ends.

    Raises:
        TfeffError: the video cannot be decoded.
    """
    wanted = {int(number) for number in numbers}
    command = [_ffmpeg(path), *_input(path), "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)
        try:
            number, last = 0, max(wanted, default=-1)
            while number <= last and (frame := _read_ppm(path, child.stdout, number in wanted)) is not None:
                if number in wanted:
                    yield number, frame
                number += 1
            if number <= last and child.wait():
                errors.seek(0)
                raise _unreadable(path, errors.read().decode(errors="replace"))
        finally:
            child.kill()
            if child.stdout is not None:
                child.stdout.close()
            child.wait()


def _ffmpeg(path):
    found = shutil.which("ffmpeg")
    if found is None:
        raise TfeffError(f"{path}: a video needs ffmpeg, which is not on PATH", "install ffmpeg, or give its frames")
    return found


def _input(path):
    return ["-nostdin", "-v", "error", "-i", str(path.absolute()), "-map", "0:v:0"]


def _read_ppm(path, pipe, keep):
    """The next picture of a stream of them: `P6 width height 255` and the pixels; None at the end."""
    words: list[bytes] = []
    while len(words) < 4:
        line = pipe.readline()
        if not line:
            return None
        words += line.split()
    try:
        kind, width, height, top = words[0], *map(int, words[1:])
    except ValueError:
        kind = b""
    if kind != b"P6" or top != 255:
        raise TfeffError(f"{path}: ffmpeg gave no picture", "see whether `ffmpeg` on PATH is ffmpeg")
    data = pipe.read(3 * width * height)
    if len(data) < 3 * width * height:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3) if keep else data


def _unreadable(path, stderr):
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no video stream"]
    return TfeffError(f"{path}: ffmpeg cannot read it ({lines[-1][:200]})", "give a video file, or its frames")

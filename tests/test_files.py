"""Files get to their places whole or not at all, over nothing unasked; leftovers are told by the kernel's lock."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from tfeff import files
from tfeff.errors import TfeffError

HOLD = "import sys, time; from pathlib import Path; from tfeff import files\nwith files.scratch(Path(sys.argv[1]), 'x') as folder:\n    print(folder, flush=True); time.sleep(60)"  # noqa: E501


@pytest.fixture
def living(tmp_path):
    """A process that holds a scratch folder, and that folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_scratch_of_a_living_process_stays_and_that_of_a_killed_one_goes(tmp_path, living):
    process, folder = living
    files.sweep(tmp_path)
    assert os.path.isdir(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    files.sweep(tmp_path)
    assert not os.path.exists(folder)


KILLED = {
    "a file": "with files.written_whole(Path('x')) as part:\n    part.write_text('half'); die()",
    "a folder": "files.write_folder(Path('x'), lambda new: ((new / 'half').write_text('half'), die()), force=True)",
    "several": "with files.scratch(Path('.'), 'export') as made:\n"
    "    (made / 'x').write_text('new'); os.link = die\n"
    "    files.publish_all({made / 'x': Path('x')}, {}, made, force=True)",
}


@pytest.mark.parametrize("way", KILLED)
def test_what_a_killed_command_left_is_gone_after_the_next(tmp_path, way):
    """Whatever is written, and where."""
    (tmp_path / "x").write_text("old")
    code = (
        "import os; from pathlib import Path; from tfeff import files\ndef die(*told):\n    os.kill(os.getpid(), 9)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code + KILLED[way]], cwd=tmp_path)
    assert ran.returncode == -signal.SIGKILL
    assert [path.name.startswith(".tfeff-") for path in tmp_path.iterdir() if path.name != "x"] == [True]
    assert not (tmp_path / "x").exists() or (tmp_path / "x").read_text() == "old"
    files.write_whole(tmp_path / "y", b"mine")
    assert {path.name for path in tmp_path.iterdir()} <= {"x", "y"}


def test_the_lock_is_the_kernels_and_no_process_number(tmp_path):
    """As another PID namespace looks: the owner's number is nobody's here."""
    with files.scratch(tmp_path, "export") as mine:
        files.sweep(tmp_path)
        assert mine.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_lock_is_swept_when_it_is_old(tmp_path):
    young, old = tmp_path / ".tfeff-part-a", tmp_path / ".tfeff-part-b"
    for folder in (young, old):
        folder.mkdir()
        (folder / "part").write_text("half")
    os.utime(old, (0, 0))
    (tmp_path / ".tfeff-part-link").symlink_to(tmp_path)
    files.sweep(tmp_path)
    assert young.is_dir()
    assert not old.exists()
    assert (tmp_path / ".tfeff-part-link").is_symlink()


def test_an_empty_one_goes_at_once_and_who_makes_it_begins_again(tmp_path, monkeypatch):
    """A process killed between the two steps leaves it; one that lives makes another."""
    made, taken = tempfile.mkdtemp, []

    def swept(**named):
        name = made(**named)
        if not taken:
            taken.append(name)
            files.sweep(tmp_path)
            assert not os.path.exists(name)
        return name

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with files.scratch(tmp_path) as folder:
        assert folder.is_dir()
        assert str(folder) != taken[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_was_made_meanwhile_stays(tmp_path, monkeypatch, linked):
    if not linked:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(PermissionError(1, "no links")))
    path = tmp_path / "x.json"

    def write():
        with files.written_whole(path, force=False) as part:
            part.write_text("mine")
            path.write_text("another's")

    with pytest.raises(TfeffError, match="exists already"):
        write()
    assert path.read_text() == "another's"
    path.unlink()
    files.write_whole(path, b"mine", force=False)
    assert path.read_bytes() == b"mine"
    assert [*tmp_path.iterdir()] == [path]


def made(folder, names, text):
    for name in names:
        (folder / name).write_text(text)
    return {folder / name: folder.parent / name for name in names}


def test_several_files_get_there_all_or_none(tmp_path):
    names = ["a.twin.tflite", "a.tflite", "a.json"]
    (tmp_path / "a.tflite").write_text("another's")
    with files.scratch(tmp_path) as folder, pytest.raises(TfeffError, match=r"a\.tflite: exists already"):
        files.publish_all(made(folder, names, "mine"), {}, folder, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tflite"]
    with files.scratch(tmp_path) as folder:
        files.publish_all(made(folder, names, "mine"), {}, folder, force=True)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_replaced_files_are_back_when_the_new_ones_cannot_be_placed(tmp_path, monkeypatch):
    names = ["a.twin.tflite", "a.tflite", "a.json"]
    for name in names:
        (tmp_path / name).write_text("old")
    link = os.link

    def full(source, final):
        if str(final).endswith(".json"):
            raise OSError(28, "No space left on device")
        link(source, final)

    monkeypatch.setattr(os, "link", full)
    with files.scratch(tmp_path) as folder, pytest.raises(OSError, match="No space"):
        files.publish_all(made(folder, names, "new"), {}, folder, force=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "old")


def test_a_kill_between_two_renames_mixes_nothing(tmp_path, monkeypatch):
    names = ["a.twin.tflite", "a.tflite", "a.json"]
    for name in names:
        (tmp_path / name).write_text("old")
    seen, link = [], os.link

    def watch(source, final):
        seen.append({(tmp_path / name).read_text() for name in names if (tmp_path / name).exists()})
        link(source, final)

    monkeypatch.setattr(os, "link", watch)
    with files.scratch(tmp_path) as folder:
        files.publish_all(made(folder, names, "new"), {}, folder, force=True)
    assert len(seen) == 3
    assert all(texts <= {"new"} for texts in seen)


def test_a_folder_takes_no_others_place(tmp_path):
    page = tmp_path / "page"

    def fill(new):
        (new / "index.html").write_text("mine")
        if not page.exists():
            page.mkdir()
            (page / "theirs").write_text("theirs")

    with pytest.raises(TfeffError, match="exists"):
        files.write_folder(page, fill, force=False)
    assert [path.name for path in page.iterdir()] == ["theirs"]
    files.write_folder(page, fill, force=True)
    assert [path.name for path in page.iterdir()] == ["index.html"]
    assert [*tmp_path.iterdir()] == [page]


def test_another_programs_lock_on_the_folder_delays_and_does_not_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE_S", 0.1)
    number = os.open(tmp_path, os.O_RDONLY)
    assert files._lock(number)
    started = time.monotonic()
    with files.scratch(tmp_path) as folder:
        files.publish_all(made(folder, ["a.json"], "mine"), {}, folder, force=False)
    assert (tmp_path / "a.json").exists()
    assert time.monotonic() - started < 5
    os.close(number)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_live_scratch_folder_survives_an_export_in_another_pid_namespace(tmp_path, living):
    _, folder = living
    code = "import sys; from pathlib import Path; from tfeff import files; files.sweep(Path(sys.argv[1]))"
    ran = subprocess.run(["unshare", "-pf", "--mount-proc", sys.executable, "-c", code, tmp_path], capture_output=True)
    if ran.returncode != 0:
        pytest.skip("unshare is not allowed here")
    assert os.path.isdir(folder)


@pytest.mark.parametrize("where", ["mkdtemp", "rmtree"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_scratch_is_made_or_removed(where, number, tmp_path):
    """It comes when the folder is there and nobody has yet begun to guard it, or while it is emptied."""
    code = (
        "import os, shutil, signal, sys, tempfile; from pathlib import Path; from tfeff import files\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))\n"
        f"module = {'tempfile' if where == 'mkdtemp' else 'shutil'}; whole = module.{where}\n"
        "def disturbed(*given, **named):\n"
        f"    if {where == 'rmtree'}: os.kill(os.getpid(), {int(number)})\n"
        "    done = whole(*given, **named)\n"
        f"    if {where == 'mkdtemp'}: os.kill(os.getpid(), {int(number)})\n"
        "    return done\n"
        f"module.{where} = disturbed\n"
        "with files.scratch(Path('.')) as folder: (folder / 'part').write_text('x')\n"
        "print('went on')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode in (143, 130, -signal.SIGINT), ran.stderr
    assert "went on" not in ran.stdout
    assert list(tmp_path.iterdir()) == []

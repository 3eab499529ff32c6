"""Boards over ssh, against a real sshd on this machine's loopback with keys and a configuration of its own."""

import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runner import tfeff

from tfeff.bench import bench, remote_agent
from tfeff.bench.devices import find_device
from tfeff.bench.inputs import seeded_inputs
from tfeff.errors import TfeffError

pytest_plugins = ["bench_models", "phone_files"]

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(
    not (SSHD and shutil.which("ssh") and shutil.which("ssh-keygen")), reason="needs sshd, ssh and ssh-keygen"
)
USER = getpass.getuser()
OPTIONS = {"threads": 1, "xnnpack": True, "seed": 0}


def make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().split()[:2]


class Board:
    """An sshd of our own, the folder in which its users keep temporary files, and what the client knows of it."""

    def __init__(self, folder):
        self.folder, self.temporary = folder, folder / "board tmp"
        self.temporary.mkdir()
        self.host_key = make_key(folder / "host_key")
        (folder / "authorized_keys").write_text(" ".join(make_key(folder / "key")) + "\n")
        make_key(folder / "stranger")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication yes\n"
            f'PermitRootLogin yes\nSetEnv "TMPDIR={self.temporary}"\n'
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own, made by its service where there is one
        self.log = (folder / "sshd.log").open("w")
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=self.log)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, (folder / "sshd.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def client(self, *, known=True, host_key=None, key="key", port=None):
        """A client's configuration; TFEFF_SSH for it."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        port = port or self.port
        line = f"[127.0.0.1]:{port} {' '.join(host_key or self.host_key)}\n"
        (folder / "known_hosts").write_text(line if known else "")
        (folder / "config").write_text(
            f"Host board\n  HostName 127.0.0.1\n  User {USER}\n"
            f'Host *\n  Port {port}\n  IdentityFile "{self.folder}/{key}"\n  IdentitiesOnly yes\n  IdentityAgent none\n'
            f'  UserKnownHostsFile "{folder}/known_hosts"\n  GlobalKnownHostsFile /dev/null\n'
        )
        return shlex.join(["ssh", "-F", str(folder / "config")])

    def left(self, seconds=10.0):
        """What stays in the board's temporary folder once the connections had time to end."""
        deadline = time.monotonic() + seconds
        while (found := sorted(path.name for path in self.temporary.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def children(self):
        """Process numbers of the connections that sshd serves."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return [int(number) for number in listed.stdout.split()]

    def close(self):
        for child in self.children():
            os.kill(child, signal.SIGKILL)
        self.process.terminate()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    board = Board(tmp_path_factory.mktemp("ssh"))
    yield board
    board.close()


@pytest.fixture
def board(sshd, monkeypatch):
    """The board as a client that knows its host key and has the right key of its own."""
    monkeypatch.setenv("TFEFF_SSH", sshd.client())
    yield sshd
    assert sshd.left() == []


def refused(spec):
    with pytest.raises(TfeffError) as caught:
        find_device(spec).start().close()
    assert caught.value.exit_code == 2
    assert caught.value.mend
    assert "\n" not in caught.value.what
    return str(caught.value)


@pytest.mark.parametrize("name", ["int8", "ports"])
def test_the_same_file_gives_the_same_bytes(board, files, left_behind, name):
    found = []
    for spec in (f"ssh:board:{sys.executable}", "local"):
        with find_device(spec).start() as handle:
            loaded = handle.load(files[name], **OPTIONS)
            assert len(handle.run(3)) == 3
            found.append((loaded, handle.outputs(seeded_inputs(loaded.inputs, 5))))
    assert found[0][0] == found[1][0]  # sha256, inputs, outputs, kernels
    assert list(found[0][1]) == list(found[1][1]) == [port.name for port in found[0][0].outputs]
    for output, values in found[0][1].items():
        np.testing.assert_array_equal(values, found[1][1][output])
    assert left_behind(10) == 0


def test_bench_from_the_command_line(board, models, capfd, left_behind):
    spec = f"ssh:{USER}@127.0.0.1:{sys.executable}"
    ran = tfeff(capfd, "bench", models["float"], models["int8"], "--on", spec, "--max-seconds", "1", "--json")
    assert ran.code == 0, ran.err
    outcome = json.loads(ran.out)
    assert [one["device"] for one in outcome["results"]] == [spec, spec]
    assert all(one["runs"] >= 15 and one["median_ms"] > 0 for one in outcome["results"])
    assert left_behind(10) == 0


def test_one_folder_serves_all_and_each_file_is_sent_once(board, models, monkeypatch):
    from tfeff.bench.devices import ssh

    sent, ask = [], ssh._Agent._ask

    def spy(agent, command, **values):
        sent.append((command, values.get("name")))
        return ask(agent, command, **values)

    monkeypatch.setattr(ssh._Agent, "_ask", spy)
    copy = models["int8"].with_name("copy ; of it.tflite")
    shutil.copy(models["int8"], copy)
    with find_device(f"ssh:board:{sys.executable}") as device:
        for _ in range(2):
            with device.start() as first, device.start() as second:
                first.load(models["int8"], **OPTIONS)
                second.load(copy, **OPTIONS)
        (folder,) = board.temporary.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
        assert [path.suffix for path in sorted(folder.iterdir())] == [".tflite", ".py"]
    assert [name[-7:] for command, name in sent if command == "put"] == ["rker.py", ".tflite"]


def test_a_changed_file_of_the_same_size_is_sent_again(board, models):
    data = bytearray(models["int8"].read_bytes())
    with find_device(f"ssh:board:{sys.executable}") as device, device.start() as handle:
        first = handle.load(models["int8"], **OPTIONS).sha256
        data[-1] ^= 1
        models["int8"].write_bytes(data)
        assert handle.load(models["int8"], **OPTIONS).sha256 != first


def test_hostile_names_stay_names(board, models, tmp_path):
    hostile = models["int8"].rename(tmp_path / "a'; touch harmed; '$(touch harmed)`touch harmed`.tflite")
    with find_device(f"ssh:board:{sys.executable}").start() as handle:
        handle.load(hostile, **OPTIONS)
        with pytest.raises(TfeffError, match="touch harmed"):  # by its own name, not by the board's
            handle.load(models["too_new"].rename(tmp_path / "b; touch harmed.tflite"), **OPTIONS)
    harmed = tmp_path / "harmed"
    python = f"no such; touch {harmed}; $(touch {harmed})'`touch {harmed}`"
    assert "cannot be run on the board" in refused(f"ssh:board:{python}")
    assert not harmed.exists()
    assert not (Path.home() / "harmed").exists()
    wrong = ("-oProxyCommand=touch harmed", "", "a b", "me@", "@board", "board;ls", "$(ls)", "board\n", "board:-c")
    for argument in wrong:
        assert "ssh:USER@HOST" in refused(f"ssh:{argument}")


def test_a_python_in_a_folder_with_a_space_and_at_home(board, tmp_path, models):
    folder = tmp_path / "my venv's"
    folder.mkdir()
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o755)
    with find_device(f"ssh:board:{folder}/python").start() as handle:
        handle.load(models["int8"], **OPTIONS)
    home = Path(os.path.expanduser(f"~{USER}"))
    assert f"{home}/no such" in refused("ssh:board:~/no such")


def test_what_a_login_shell_prints_is_passed_over(board, tmp_path, models):
    (tmp_path / "talker").write_text(f'#!/bin/sh\necho Welcome to the board; exec {sys.executable} "$@"\n')
    (tmp_path / "talker").chmod(0o755)
    with find_device(f"ssh:board:{tmp_path}/talker").start() as handle:
        handle.load(models["int8"], **OPTIONS)


def test_no_such_python(board):
    message = refused("ssh:board:/no/python")
    assert "/no/python cannot be run on the board" in message
    assert "ssh:pi@raspberrypi:venv/bin/python" in message
    assert "cannot be run on the board" in refused("ssh:board:/etc/passwd")
    assert "ended with exit code" in refused("ssh:board:/bin/true")


def test_no_numpy_and_no_runtime(board, tmp_path):
    script, stub = tmp_path / "python", tmp_path / "stub"
    script.write_text(f'#!/bin/sh\n[ "$1" = -I ] || set -- -S "$@"\nPYTHONPATH={stub} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    message = refused(f"ssh:board:{script}")
    assert "no usable NumPy" in message
    assert "on the board" in message
    stub.mkdir()
    (stub / "numpy.py").write_text("__version__ = '1'\n")
    assert "neither ai-edge-litert nor tflite-runtime" in refused(f"ssh:board:{script}")


def test_a_host_that_is_not_there(board, sshd, monkeypatch):
    assert "no such host" in refused("ssh:no-such-host.invalid")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: refused
        monkeypatch.setenv("TFEFF_SSH", sshd.client(port=closed.getsockname()[1]))
        assert "nothing answers ssh there" in refused("ssh:board")


def test_a_host_key_that_is_new_or_another(board, sshd, monkeypatch):
    monkeypatch.setenv("TFEFF_SSH", sshd.client(known=False))
    message = refused("ssh:board")
    assert "not known to ssh yet" in message
    assert "connect once by hand, `ssh board`" in message
    other = (sshd.folder / "stranger.pub").read_text().split()[:2]
    monkeypatch.setenv("TFEFF_SSH", sshd.client(host_key=other))
    assert "not the one that ssh remembers" in refused("ssh:board")


def test_a_key_that_is_refused_and_a_password_that_is_not_asked_for(board, sshd, monkeypatch):
    monkeypatch.setenv("TFEFF_SSH", sshd.client(key="stranger"))
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    message = refused("ssh:board")
    assert "the board refuses your key" in message
    assert "ssh-copy-id board" in message


def test_a_connection_lost_in_the_middle(board, models, left_behind):
    with find_device(f"ssh:board:{sys.executable}") as device, device.start() as handle:
        handle.load(models["int8"], **OPTIONS)
        for child in board.children():
            os.kill(child, signal.SIGKILL)
        with pytest.raises(TfeffError, match="connection was lost while asked to 'run'"):
            handle.run(3)
    assert board.left() == []  # the board tidies up by itself
    assert left_behind(10) == 0
    with find_device(f"ssh:board:{sys.executable}").start() as handle:
        handle.load(models["int8"], **OPTIONS)


def test_a_killed_tfeff_leaves_nothing_on_the_board(board, models, left_behind):
    command = [sys.executable, "-m", "tfeff", "bench", str(models["int8"]), "--max-seconds", "60"]
    started = subprocess.Popen([*command, "--on", f"ssh:board:{sys.executable}"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(board.temporary.glob("*/*.tflite")):
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.kill()
    started.communicate()
    assert board.left(20) == []
    assert left_behind(20) == 0


@pytest.mark.parametrize("where", ["tempfile.mkdtemp", "shutil.rmtree"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_while_the_board_s_folder_is_made_or_removed(where, number, tmp_path):
    """Sent to the agent as a closing connection does, at the instants when nobody seems to guard the folder."""
    code = (
        "import os, runpy, shutil, sys, tempfile\n"
        f"module, name = {where.split('.')[0]}, {where.split('.')[1]!r}; whole = getattr(module, name)\n"
        "def disturbed(*given, **named):\n"
        f"    if name == 'rmtree': os.kill(os.getpid(), {int(number)})\n"
        "    done = whole(*given, **named)\n"
        f"    if name == 'mkdtemp': os.kill(os.getpid(), {int(number)})\n"
        "    return done\n"
        "setattr(module, name, disturbed)\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, remote_agent.__file__], input='{"command": "hello"}\n', text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True,
    )  # fmt: skip
    made = where == "tempfile.mkdtemp"
    assert ran.returncode == (128 + number if made else 0), ran.stderr
    assert (ran.stdout == "") == made  # it ends at once, or says hello
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_cleared_on_the_board(board, models):
    with find_device(f"ssh:board:{sys.executable}") as device, device.start() as handle:
        (folder,) = board.temporary.iterdir()
        shutil.rmtree(folder)
        with pytest.raises(TfeffError, match="No such file or directory"):
            handle.load(models["int8"], **OPTIONS)


def test_a_wrong_command_for_ssh(board, monkeypatch):
    monkeypatch.setenv("TFEFF_SSH", "/no/ssh")
    assert "/no/ssh cannot be started" in refused("ssh:board")
    monkeypatch.setenv("TFEFF_SSH", "ssh 'board")
    assert "TFEFF_SSH" in refused("ssh:board")


def test_what_the_worker_says_of_a_bad_file(board, models, tmp_path):
    spec = f"ssh:board:{sys.executable}"
    with pytest.raises(TfeffError) as caught:
        bench([models["too_new"]], [spec])
    assert "too_new.tflite: ai-edge-litert" in str(caught.value)
    assert "'CONV_2D' version '99'" in str(caught.value)

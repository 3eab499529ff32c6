"""The first Ctrl-C, SIGTERM or SIGHUP ends a command that waits, whichever thread the kernel hands it to."""

import signal
import subprocess
import sys

import pytest

# A thread takes the signal, as one that serves a connection may; the main thread sleeps and is not woken by it.
CODE = """
import signal, sys, threading, time
from tfeff.cli.endings import Endings

def send():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
    time.sleep(30)

with Endings() as endings:
    threading.Thread(target=send, daemon=True).start()
    endings.wait()
print("ended")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_another_thread_gets(number, code):
    ran = subprocess.run([sys.executable, "-c", CODE, str(int(number))], capture_output=True, text=True, timeout=20)
    assert ran.returncode == code
    assert ran.stdout == ("ended\n" if number == signal.SIGINT else "")


# A command that has begun to write, and is told to end.
WRITES = """
import os, signal, sys
from pathlib import Path
from tfeff.cli import _unwind_when_told_to_end
from tfeff.files import written_whole

_unwind_when_told_to_end()
with written_whole(Path("x")) as part:
    part.write_text("half")
    os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_was_begun_is_gone_when_a_command_is_told_to_end(tmp_path, number):
    ran = subprocess.run([sys.executable, "-c", WRITES, str(int(number))], cwd=tmp_path, timeout=20)
    assert ran.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_was_made_deaf_to_a_closed_terminal_goes_on(tmp_path):
    deaf = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}  # as `nohup` does
    ran = subprocess.run([sys.executable, "-c", WRITES, str(int(signal.SIGHUP))], cwd=tmp_path, timeout=20, **deaf)
    assert ran.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x"]

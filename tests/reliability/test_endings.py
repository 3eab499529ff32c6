"""The first Ctrl-C or SIGTERM ends a command that waits, whichever thread the kernel hands it to."""

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_that_another_thread_gets(number, code):
    ran = subprocess.run([sys.executable, "-c", CODE, str(int(number))], capture_output=True, text=True, timeout=20)
    assert ran.returncode == code
    assert ran.stdout == ("ended\n" if number == signal.SIGINT else "")

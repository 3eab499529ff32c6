"""The board's end of `ssh:`: keeps a folder of its own, takes files into it, and removes it when it ends.

Its source is sent through the connection and run by the board's Python (3.7 or newer, standard library only); nothing
is installed. Like the worker it answers JSON lines on stdout to JSON lines on stdin.

    {"command": "hello"}                                            -> folder
    {"command": "has", "name": N, "sha256": S}                      -> has
    {"command": "put", "name": N, "sha256": S, "base64": BYTES}     -> {}
    {"command": "quit"}                                             -> the process ends

A failed request is answered {"error": "request", "message": TEXT}. The end of stdin, which a lost connection is too,
and the signals that a closing connection sends end the process, and the folder goes with it.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile


class Agent:
    def __init__(self, folder):
        self.folder = folder

    def hello(self, request):
        return {"folder": self.folder}

    def has(self, request):
        """Whether the file is there with these very bytes."""
        try:
            with open(self.path(request), "rb") as file:
                return {"has": hashlib.sha256(file.read()).hexdigest() == request["sha256"]}
        except OSError:
            return {"has": False}

    def put(self, request):
        data = base64.b64decode(request["base64"])
        if hashlib.sha256(data).hexdigest() != request["sha256"]:
            raise ValueError("the bytes that arrived are not those that were sent")
        path = self.path(request)
        with open(path + ".part", "wb") as file:
            file.write(data)
        os.replace(path + ".part", path)
        return {}

    def path(self, request):
        if os.path.basename(request["name"]) != request["name"]:
            raise ValueError("not a plain file name: " + request["name"])
        return os.path.join(self.folder, request["name"])


def stop(number, frame):
    raise SystemExit(128 + number)


def on_signals(handler):
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


def main():
    came = []  # signals wait until somebody is there to remove the folder; nothing of `tfeff.files` is on the board
    on_signals(lambda number, frame: came.append(number))
    folder = tempfile.mkdtemp(prefix="tfeff-")
    try:
        on_signals(stop)
        if came:
            stop(came[0], None)
        agent = Agent(folder)
        commands = {"hello": agent.hello, "has": agent.has, "put": agent.put}
        for line in iter(sys.stdin.readline, ""):
            try:
                request = json.loads(line)
                if request["command"] == "quit":
                    break
                reply = commands[request["command"]](request)
            except OSError as error:
                reply = {"error": "request", "message": f"{error.filename or folder}: {error.strerror}"}
            except (KeyError, TypeError, ValueError) as error:
                reply = {"error": "request", "message": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:  # the other side is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at its end
    finally:
        try:
            on_signals(signal.SIG_IGN)  # the process ends anyway
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

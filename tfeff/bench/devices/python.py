"""`python:PATH`: this machine, with another Python and the runtime that is installed there.

Some runtimes cannot live beside tfeff's own packages: tflite-runtime 2.14 wants NumPy < 2. They get an environment of
their own, with nothing of tfeff in it.
"""

import os
import shutil
from pathlib import Path

from tfeff.bench.client import WORKER, WorkerHandle
from tfeff.bench.devices import BaseDevice, Handle
from tfeff.errors import TfeffError

# What our own environment says about where packages lie would lead the other Python astray.
_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class Device(BaseDevice):
    usage = "python:PATH"

    def __init__(self, argument: str):
        super().__init__(argument)
        if not argument:
            raise TfeffError("python: which one?", "give the path of an interpreter: python:PATH")
        found = shutil.which(argument) if os.sep not in argument else None
        path = Path(os.path.expanduser(found or argument))
        mend = "give the path of a Python interpreter, such as python:venv/bin/python"
        if not path.exists():
            raise TfeffError(f"{self.name}: no such file", mend)
        if path.is_dir():
            raise TfeffError(f"{self.name}: is a folder", mend)
        if not os.access(path, os.X_OK):
            raise TfeffError(f"{self.name}: is not executable", mend)
        self.path = path.absolute()  # not resolved: a link is what makes an environment's Python its own

    def start(self) -> Handle:
        env = {name: value for name, value in os.environ.items() if name not in _OURS}
        return WorkerHandle(self.name, [str(self.path), str(WORKER)], env, self.timeout_s)

"""`local`: this machine, with the Python and the runtime that tfeff itself runs under."""

import os
import sys

from tfeff.bench.client import WORKER, WorkerHandle
from tfeff.bench.devices import BaseDevice, Handle
from tfeff.errors import TfeffError


class Device(BaseDevice):
    usage = "local"

    def __init__(self, argument: str):
        super().__init__(argument)
        if argument:
            raise TfeffError(f"{self.name}: `local` takes nothing after it", "for another Python: python:PATH")

    def start(self) -> Handle:
        return WorkerHandle(self.name, [sys.executable, str(WORKER)], dict(os.environ), self.timeout_s)

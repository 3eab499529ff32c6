"""`adb[:SERIAL]`: an Android phone, by `benchmark_model` there. SERIAL may be HOST:PORT of a phone in the network."""

from tfeff.bench.adb.client import Phone
from tfeff.bench.adb.download import found_tool
from tfeff.bench.devices import BaseDevice, Handle
from tfeff.errors import TfeffError


class Device(BaseDevice):
    usage = "adb[:SERIAL]"
    has_tool = True
    timeout_s = 60.0

    def __init__(self, argument: str):
        super().__init__(argument)
        self.serial = argument
        if argument.startswith("-") or not argument.isprintable() or " " in argument:
            raise TfeffError(f"{self.name!r}: names no phone", "write adb or adb:SERIAL, as `adb devices` lists it")

    def connect(self) -> Phone:
        """The phone, ready and with a folder of its own; a context manager."""
        return Phone(self.name, self.serial, self.timeout_s)

    def check(self, benchmark_binary: str | None = None) -> None:
        """The phone is ready, and its benchmark tool here; what must be fetched is fetched now."""
        with self.connect():
            found_tool(benchmark_binary)

    def start(self) -> Handle:
        raise TfeffError(f"{self.name}: a phone has no Python to start", "time files on it with `tfeff bench`")

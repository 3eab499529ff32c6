"""The command line. One file a command; a command's file is imported only when it is called, so `--help` is quick."""

import os
import signal
import sys
import threading
from importlib import import_module
from typing import NoReturn

import click

from tfeff import __version__
from tfeff.cli.ending import ended, open_standard_streams
from tfeff.cli.endings import ENDS

COMMANDS = {
    "list": "Networks and presets, with parameters, multiply-adds and size.",
    "info": "One network in detail: published figures against counted ones.",
    "train": "Train a network and leave a preset.",
    "import-weights": "Turn PyTorch's, timm's, Paddle's ... weights into ours.",
    "calibrate": "Audit calibration images, and show the ranges that they give.",
    "export": "Turn a network into a .tflite file, proven equal and timed.",
    "qat": "Train with int8's roundings in the network, then export.",
    "prune": "Make a share of the weights 0, fine-tune, export.",
    "cluster": "Give the weights few values, fine-tune, export.",
    "compare": "Accuracy of a quantized file against its float twin.",
    "debug": "Where a quantized file goes wrong, layer by layer.",
    "check": "What a target would make of a file, operation by operation.",
    "bench": "Time files against each other on one or more devices.",
    "profile": "Where a file's time goes on a phone, layer by layer.",
    "demo": "An Android app, or a web page, with your files in it.",
    "report": "A page out of records: what int8 cost, where, and how fast it is.",
    "doctor": "Versions, runtimes, devices and what is missing, for bug reports.",
    "serve": "A page that runs files in the browser, on this or any device.",
}


class LazyGroup(click.Group):
    """Lists commands from the table above and imports `tfeff.cli.<name>` when one runs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return import_module(f"tfeff.cli.{name.replace('-', '_')}").command if name in COMMANDS else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def cli() -> None:
    """Efficient vision networks for phones and edge chips: build, export to int8, prove equal, time.

    Exit codes: 0 done; 1 a gate failed (accuracy, latency, float operations); 2 usage, input or environment.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of `tfeff`: runs a command and turns its errors into a line on stderr and an exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter is not for users
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    _unwind_when_told_to_end()
    open_standard_streams()
    sys.exit(ended(lambda: cli.main(arguments, standalone_mode=False)))


def _unwind_when_told_to_end():
    """Lets a polite kill, and a terminal that is closed, run the `finally` clauses, so that scratch files go and child
    processes end; not where who started the command wants it deaf (`nohup`)."""

    def stop(number, frame):
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        for number in ENDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)

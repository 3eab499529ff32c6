"""The main job as a user types it: wall time, peak memory of all its processes, and what the record says.

python benchmarks/export.py [--on python:.venv-tflite/bin/python] [--target tflite-runtime] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def memory_of_tree(root: int) -> int:
    """Resident bytes of a process and all that descend from it (shared pages count for each)."""
    parents, resident = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        parents[int(path.name)] = int(fields[1])
        resident[int(path.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(resident.get(pid, 0) for pid in family)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", action="append", default=[], help="a further device")
    parser.add_argument("--target", default="litert")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    devices = [word for device in ("local", *arguments.on) for word in ("--on", device)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfeff", "export", "vargnet", "--int8", "--target", arguments.target, *devices]
        started, peak = time.monotonic(), 0
        process = subprocess.Popen([*command, "--out", folder, "--json"], stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            peak = max(peak, memory_of_tree(process.pid))
            time.sleep(0.1)
        seconds = time.monotonic() - started
        record = json.loads(process.stdout.read())
    if process.returncode:
        sys.exit(process.returncode)
    if arguments.json:
        kept = ("preset", "target", "precision", "sha256", "size_bytes", "float_twin", "ops", "rewrites", "accuracy",
                "ports", "latency", "versions")  # fmt: skip
        report = {"seconds": seconds, "peak_bytes": peak, "cores": os.cpu_count(), **{key: record[key] for key in kept}}
        report["ratios"] = [
            {"device": r["device"].partition(":")[0], "ratio": r["ratio"], "ci95": r["ci95"], "verdict": r["verdict"]}
            for r in record["bench"]["ratios"]
        ]
        print(json.dumps(report, indent=1))
    print(f"{seconds:.0f} s, at most {peak / 2**30:.2f} GiB, {os.cpu_count()} cores", file=sys.stderr)


if __name__ == "__main__":
    main()

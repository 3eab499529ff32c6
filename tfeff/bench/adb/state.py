"""What a phone is (cores, properties) and how it is at the moment (heat, clocks, battery)."""

import re
from dataclasses import dataclass, field
from typing import Any

from tfeff.bench.adb.client import Phone
from tfeff.errors import TfeffError

HOT_BATTERY_C = 45.0  # above it phones slow down to spare the battery
_SEVERITY = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")  # Android's ThermalStatus
_MACHINES = {
    "aarch64": "arm64-v8a",
    "armv8l": "armeabi-v7a",
    "armv7l": "armeabi-v7a",
    "x86_64": "x86_64",
    "i686": "x86",
}
_PROPERTIES = (
    "ro.product.manufacturer", "ro.product.model", "ro.product.cpu.abilist", "ro.product.cpu.abi",
    "ro.soc.manufacturer", "ro.soc.model", "ro.board.platform", "ro.hardware", "ro.build.version.release",
    "ro.build.fingerprint",
)  # fmt: skip
_FACTS = f"""for name in {" ".join(_PROPERTIES)}; do echo "@property $name $(getprop $name)"; done
echo "@machine $(uname -m)"; echo "@kernel $(uname -r)"
command -v taskset >/dev/null && echo "@taskset yes"
grep -m 1 -E '^(Hardware|model name)' /proc/cpuinfo | sed 's/^/@cpuinfo /'
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
  [ -d $cpu ] && [ "$(cat $cpu/online)" != 0 ] || continue
  echo "@core ${{cpu##*/cpu}} $(cat $cpu/cpu_capacity || cat $cpu/cpufreq/cpuinfo_max_freq)"
done"""
_STATE = """dumpsys battery | sed 's/^ */@battery /'
dumpsys thermalservice | grep -E 'Thermal Status|Temperature{' | sed 's/^/@thermal /'
for zone in /sys/class/thermal/thermal_zone*; do echo "@zone $(cat $zone/temp) $(cat $zone/type)"; done
for policy in /sys/devices/system/cpu/cpufreq/policy*; do
  for name in affected_cpus scaling_governor scaling_cur_freq scaling_max_freq cpuinfo_max_freq; do
    echo "@policy ${policy##*policy} $name $(cat $policy/$name)"
  done
done
echo "@load $(cat /proc/loadavg)"
"""


@dataclass(frozen=True)
class Facts:
    """What does not change.

    Attributes:
        abi: `arm64-v8a`, `armeabi-v7a`, `x86_64` or `x86`.
        model, cpu, os: for people.
        fingerprint: Android's name of its build; empty where it has none.
        capacities: of the cores, by number: the kernel's own measure, or the highest clock, or 0 where neither is told.
        taskset: whether a program can be kept on some cores.
    """

    abi: str
    model: str
    cpu: str
    os: str
    fingerprint: str
    capacities: dict[int, int]
    taskset: bool

    @property
    def classes(self) -> dict[str, list[int]]:
        """Cores by class: `big` (highest capacity), `little` (lowest), `middle`; only `all` where they are alike."""
        steps = sorted(set(self.capacities.values()))
        cores = {"all": sorted(self.capacities)}
        if len(steps) > 1:
            cores["big"] = [core for core in cores["all"] if self.capacities[core] == steps[-1]]
            cores["middle"] = [core for core in cores["all"] if steps[0] < self.capacities[core] < steps[-1]]
            cores["little"] = [core for core in cores["all"] if self.capacities[core] == steps[0]]
        return {name: numbers for name, numbers in cores.items() if numbers}


@dataclass
class State:
    """How a phone is at a moment; None and empty where it does not tell.

    Attributes:
        battery_percent, battery_c, charging: of the battery.
        thermal_status: Android's, 0 (none) to 6 (shutdown).
        temperatures_c: by sensor.
        policies: a dict for each cluster: `cores`, `governor`, `mhz` (at the moment), `limit_mhz`, `highest_mhz`.
        load_average: runnable processes over the last minute.
    """

    battery_percent: int | None = None
    battery_c: float | None = None
    charging: bool | None = None
    thermal_status: int | None = None
    temperatures_c: dict[str, float] = field(default_factory=dict)
    policies: list[dict[str, Any]] = field(default_factory=list)
    load_average: float | None = None

    def limits(self) -> dict[int, float]:
        """The clock that each core may reach at the moment, in MHz."""
        return {core: one["limit_mhz"] for one in self.policies for core in one["cores"] if one["limit_mhz"]}

    def throttled(self, limits: dict[int, float], cores: list[int]) -> list[str]:
        """Why figures of now are not to be trusted.

        Args:
            limits: the highest clock that each core was allowed in this session, in MHz.
            cores: that matter.
        """
        why = []
        if self.thermal_status:
            why.append(f"thermal status {self.thermal_status} ({_SEVERITY[min(self.thermal_status, 6)]})")
        if self.battery_c is not None and self.battery_c >= HOT_BATTERY_C:
            why.append(f"battery at {self.battery_c:.0f} °C")
        now = self.limits()
        slow = [core for core in cores if now.get(core, 0) < limits.get(core, 0) and core in now]
        if slow:
            why.append(f"core {slow[0]} limited to {now[slow[0]]:.0f} of {limits[slow[0]]:.0f} MHz")
        return why


def read_facts(phone: Phone) -> Facts:
    """Asks a phone what it is."""
    properties, cores, found = {}, {}, {}
    for key, rest in _marked(phone.shell(f"{{\n{_FACTS}\n}} 2>/dev/null")[1]):
        words = rest.split()
        if key == "property" and len(words) > 1:
            properties[words[0]] = " ".join(words[1:])
        elif key == "core" and words and words[0].isdigit():
            cores[int(words[0])] = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        elif words:
            found[key] = rest
    told = properties.get
    abis = (told("ro.product.cpu.abilist") or told("ro.product.cpu.abi") or "").split(",")
    abi = abis[0] or _MACHINES.get(found.get("machine", ""), "")
    if not abi:
        raise TfeffError(f"{phone.name}: does not tell its processor", "`adb shell uname -m` must answer")
    soc = " ".join(filter(None, [told("ro.soc.manufacturer"), told("ro.soc.model")])) or told("ro.board.platform")
    model = " ".join(filter(None, [told("ro.product.manufacturer"), told("ro.product.model")]))
    release = told("ro.build.version.release")
    return Facts(
        abi=abi,
        model=model or phone.serial,
        cpu=soc or found.get("cpuinfo", "").partition(":")[2].strip() or told("ro.hardware") or abi,
        os=f"Android {release}" if release else f"Linux {found.get('kernel', '')}".strip(),
        fingerprint=told("ro.build.fingerprint") or "",
        capacities=cores,
        taskset="taskset" in found,
    )


def read_state(phone: Phone) -> State:
    """Asks a phone how it is."""
    return parse_state(phone.shell(f"{{\n{_STATE}\n}} 2>/dev/null")[1])


def parse_state(text: str) -> State:
    """Reads what the script above printed."""
    state = State()
    battery: dict[str, str] = {}
    policies: dict[str, dict[str, str]] = {}
    for key, rest in _marked(text):
        if key == "battery":
            name, _, value = rest.partition(":")
            battery.setdefault(name.strip(), value.strip())
        elif key == "thermal":
            if status := re.search(r"Thermal Status: (\d+)", rest):
                state.thermal_status = int(status[1])
            elif sensor := re.search(r"mValue=([-\d.]+).*mName=([^,}]+)", rest):
                state.temperatures_c[sensor[2]] = float(sensor[1])
        elif key == "zone":
            value, _, name = rest.partition(" ")
            if re.fullmatch(r"-?\d+", value) and name:
                # Most kernels tell thousandths of a degree, some tenths or whole ones.
                degrees = int(value) / (1000 if abs(int(value)) >= 1000 else 10 if abs(int(value)) >= 150 else 1)
                state.temperatures_c.setdefault(name, degrees)
        elif key == "policy":
            number, name, values = (*rest.split(maxsplit=2), "", "", "")[:3]
            policies.setdefault(number, {})[name] = " ".join(values.split())
        elif key == "load":
            words = rest.split()
            state.load_average = float(words[0]) if words and re.fullmatch(r"[\d.]+", words[0]) else None
    state.policies = [_policy(one) for one in policies.values() if one.get("affected_cpus")]
    if battery.get("level", "").isdigit():
        state.battery_percent = int(battery["level"])
    if re.fullmatch(r"-?\d+", battery.get("temperature", "")):
        state.battery_c = int(battery["temperature"]) / 10
    powered = [value for name, value in battery.items() if name.endswith("powered")]
    state.charging = "true" in powered if powered else None
    return state


def _policy(told: dict[str, str]) -> dict[str, Any]:
    def mhz(name: str) -> float | None:
        return int(told[name]) / 1000 if told.get(name, "").isdigit() else None

    return {
        "cores": [int(core) for core in told["affected_cpus"].split() if core.isdigit()],
        "governor": told.get("scaling_governor") or None,
        "mhz": mhz("scaling_cur_freq"),
        "limit_mhz": mhz("scaling_max_freq"),
        "highest_mhz": mhz("cpuinfo_max_freq"),
    }


def _marked(text: str):
    """(key, rest) of the lines that begin with `@key`."""
    for line in text.splitlines():
        if found := re.match(r"@(\w+) ?(.*)", line):
            yield found[1], found[2].strip()

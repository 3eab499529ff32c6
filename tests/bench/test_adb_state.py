"""What a phone tells of itself, from texts that Android's own commands print."""

import pytest

from tfeff.bench.adb.state import Facts, parse_state, read_facts, read_state
from tfeff.bench.adb.tool_timer import choose_cores
from tfeff.bench.devices.adb import Device
from tfeff.errors import TfeffError

pytest_plugins = ["adb_daemon"]

TOLD = """@battery Current Battery Service state:
@battery AC powered: false
@battery USB powered: true
@battery level: 87
@battery scale: 100
@battery temperature: 312
@thermal Thermal Status: 2
@thermal \tTemperature{mValue=61.5, mType=0, mName=CPU0, mStatus=2}
@thermal \tTemperature{mValue=38.25, mType=3, mName=skin, mStatus=0}
@zone 45300 cpu-0-0
@zone 402 battery
@zone 51 gpu
@policy 0 affected_cpus 0 1 2 3
@policy 0 scaling_governor schedutil
@policy 0 scaling_cur_freq 1132800
@policy 0 scaling_max_freq 1804800
@policy 0 cpuinfo_max_freq 1804800
@policy 4 affected_cpus 4 5 6 7
@policy 4 scaling_max_freq 1200000
@policy 4 cpuinfo_max_freq 2841600
@load 3.25 2.00 1.00 2/900 1234
"""


def facts(*capacities, taskset=True):
    return Facts("arm64-v8a", "m", "c", "o", "", dict(enumerate(capacities)), taskset)


def test_heat_clocks_and_battery():
    state = parse_state(TOLD)
    assert (state.battery_percent, state.battery_c, state.charging, state.thermal_status) == (87, 31.2, True, 2)
    assert state.temperatures_c == {"CPU0": 61.5, "skin": 38.25, "cpu-0-0": 45.3, "battery": 40.2, "gpu": 51.0}
    assert state.policies[0] == {
        "cores": [0, 1, 2, 3], "governor": "schedutil", "mhz": 1132.8, "limit_mhz": 1804.8, "highest_mhz": 1804.8,
    }  # fmt: skip
    assert (state.policies[1]["mhz"], state.policies[1]["governor"]) == (None, None)
    assert state.load_average == 3.25
    assert state.limits()[7] == 1200.0


def test_a_phone_that_tells_nothing():
    for text in ("", "@battery \n@thermal\n@zone  \n@policy\n@load\n", "Can't find service: battery\n\x00@\n"):
        state = parse_state(text)
        assert (state.battery_percent, state.charging, state.thermal_status, state.policies) == (None, None, None, [])
        assert state.throttled({}, [0]) == []


def test_what_throttles():
    state = parse_state(TOLD)
    assert state.throttled({}, [0]) == ["thermal status 2 (moderate)"]
    cool = parse_state(TOLD.replace("Status: 2", "Status: 0"))
    assert cool.throttled(cool.limits(), [0, 7]) == []
    assert cool.throttled({7: 2841.6}, [7]) == ["core 7 limited to 1200 of 2842 MHz"]
    assert cool.throttled({7: 2841.6}, [0]) == []  # not a core that is used
    hot = parse_state(TOLD.replace("Status: 2", "Status: 0").replace("temperature: 312", "temperature: 460"))
    assert hot.throttled({}, [0]) == ["battery at 46 °C"]


def test_classes_of_cores():
    assert facts(1024, 1024).classes == {"all": [0, 1]}
    assert facts(250, 250, 1024).classes == {"all": [0, 1, 2], "big": [2], "little": [0, 1]}
    three = facts(300, 300, 300, 300, 700, 700, 1024, 1024)
    assert (three.classes["big"], three.classes["middle"]) == ([6, 7], [4, 5])
    assert choose_cores("adb", three, 1, "auto") == ("big", [6, 7])
    assert choose_cores("adb", three, 4, "auto") == ("big and middle", [4, 5, 6, 7])
    assert choose_cores("adb", three, 8, "auto") == ("all", None)
    assert choose_cores("adb", three, 1, "little") == ("little", [0, 1, 2, 3])
    assert choose_cores("adb", facts(1, 2, taskset=False), 1, "auto") == ("all", None)
    with pytest.raises(TfeffError, match=r"no middle cores[\s\S]*big \[1\], little \[0\]"):
        choose_cores("adb", facts(1, 2), 1, "middle")
    with pytest.raises(TfeffError, match="no taskset"):
        choose_cores("adb", facts(1, 2, taskset=False), 1, "big")


def test_asked_through_adb(phone):
    with Device("").connect() as connected:
        found, state = read_facts(connected), read_state(connected)
    assert (found.abi, found.model, found.cpu, found.os, found.taskset) == (
        "x86_64", "Stand-in", "Pretended", "Android 14", True,
    )  # fmt: skip
    assert list(found.capacities.values()) == [300, 300, 300, 300, 700, 700, 1024, 1024]
    assert (state.battery_percent, state.battery_c, state.charging) == (87, 26.8, True)
    assert (state.thermal_status, state.temperatures_c["CPU0"]) == (0, 41.2)
    assert state.policies[0]["governor"] == "schedutil"
    assert state.limits() == {6: 1800.0, 7: 1800.0}

"""Which parts of the Android app another app may start: the launcher's, and none that runs models for a benchmark."""

import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

from tfeff.demo.building import BASE

MANIFEST = Path(__file__).parents[2] / "android_demo/app/src/main/AndroidManifest.xml"
ANDROID = "{http://schemas.android.com/apk/res/android}"
SHELL_ONLY = "android.permission.DUMP"  # of adb's shell and the system; no app is given it


def test_only_the_launchers_activity_is_anybodys():
    parts = [part for part in ElementTree.parse(MANIFEST).getroot().iter() if part.get(f"{ANDROID}exported") == "true"]
    guarded = {part.get(f"{ANDROID}name"): part.get(f"{ANDROID}permission") for part in parts}
    assert guarded == {".MainActivity": None, ".BenchmarkActivity": SHELL_ONLY}


def test_the_packaged_app_says_so_too():
    with zipfile.ZipFile(BASE) as app:
        assert SHELL_ONLY.encode("utf-16-le") in app.read("AndroidManifest.xml")

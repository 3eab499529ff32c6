"""The Android demo: artifacts put into the app, aligned and signed, without any Android tool."""

from tfeff.demo.building import APPLICATION, Demo, build_demo, write_app
from tfeff.demo.self_test import make_self_test

__all__ = ["APPLICATION", "Demo", "build_demo", "make_self_test", "write_app"]

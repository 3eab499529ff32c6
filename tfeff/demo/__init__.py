"""The Android demo: artifacts put into the app, aligned and signed, without any Android tool."""

from tfeff.demo.building import Demo, build_demo

__all__ = ["Demo", "build_demo"]

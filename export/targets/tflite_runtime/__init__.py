from tfeff.export.targets.tflite_runtime.target import TARGET

__all__ = ["TARGET"]

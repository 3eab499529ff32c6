from tfeff.export.targets.edgetpu.target import TARGET

__all__ = ["TARGET"]

from tfeff.export.targets.litert.target import TARGET

__all__ = ["TARGET"]

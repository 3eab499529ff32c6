from tfeff.export.targets.web.target import TARGET

__all__ = ["TARGET"]

from tfeff.export.targets.ethos_u.target import TARGET

__all__ = ["TARGET"]

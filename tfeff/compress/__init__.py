"""Making a network smaller while it is trained: pruning, clustering and training for int8, an engine a package."""

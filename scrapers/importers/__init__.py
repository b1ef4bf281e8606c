"""Doors for histories that others kept: one module per format, each a reader and nothing else."""

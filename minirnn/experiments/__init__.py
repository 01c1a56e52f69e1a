"""The classic experiments, each a short script of its own: see ``minirnn list``."""

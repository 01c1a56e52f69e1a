"""The commands of ``minirnn``, a module each with ``add(subparsers)``; see ``cli.py``."""

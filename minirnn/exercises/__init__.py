"""Checkers for the exercises of the notebooks, a file a chapter.

``check(function)`` looks at a student's function of that name and says that it is right, or what is
wrong with it: where the first wrong number is, which simple case already fails, and which slip it
looks like. ``hint(name, level)`` gives one of three hints, each nearer to the answer.
"""

from minirnn.exercises.common import EXERCISES, Wrong, check, hint, play

__all__ = ["EXERCISES", "Wrong", "check", "hint", "play"]

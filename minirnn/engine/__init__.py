"""What makes the cells fast. Skip it at first reading: nothing here changes what they compute."""

# Whoever compiles a kernel needs the functions for kernels: they register themselves with Numba.
from minirnn.engine import fast_functions  # noqa: F401

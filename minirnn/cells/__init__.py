"""The recurrent cells: textbook.py first, in plain NumPy; then the same, compiled."""

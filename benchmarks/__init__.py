"""Micro-benchmarks: ``python -m benchmarks``."""

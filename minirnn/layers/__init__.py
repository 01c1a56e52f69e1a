"""Layers without a time loop of their own, and containers."""

"""Figures about this project itself: `python -m benchmarks.NAME` from the root of a checkout."""

"""Requests: resolution, limits, groups and estimated duration. Pure functions."""

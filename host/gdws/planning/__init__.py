"""Allocation of ranks under a budget, and the conversion."""

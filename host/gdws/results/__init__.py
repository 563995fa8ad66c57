"""Stored results, and everything that is made of them: reports, comparisons, exports."""

"""Findings from measurements: intervals, comparisons and verdicts, computed in one place for host and agent."""

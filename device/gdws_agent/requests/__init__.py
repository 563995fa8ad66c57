"""What a request comes to: its options, limits, groups and duration. Pure functions."""

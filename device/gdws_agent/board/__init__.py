"""The current state of the board: power mode, clocks, power and temperatures."""

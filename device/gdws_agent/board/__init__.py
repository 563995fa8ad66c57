"""The board that the agent runs on, as it is now: its power mode and clocks, its power and heat."""

"""Networks that others ship, through the commands that a user would run."""

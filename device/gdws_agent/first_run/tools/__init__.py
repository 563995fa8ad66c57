"""Programs that the checks run beside the agent, and what their output says."""

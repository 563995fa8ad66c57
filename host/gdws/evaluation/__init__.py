"""Natural and robust accuracy: the evaluation, its resumable state, the attacks."""

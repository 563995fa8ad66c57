"""What runs a network on this device, one module for each runtime; see :mod:`~gdws_agent.backends.base`."""

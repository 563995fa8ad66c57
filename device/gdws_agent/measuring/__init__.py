"""The measuring process and what it does; see :mod:`~gdws_agent.measuring.worker`."""

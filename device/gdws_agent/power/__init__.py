"""Sensors of power, temperatures and clocks; see :mod:`~gdws_agent.power.base`."""

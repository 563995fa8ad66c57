"""What reads the power drawn while something runs; see :mod:`~gdws_agent.power.base`."""

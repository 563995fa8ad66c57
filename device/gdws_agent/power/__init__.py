"""What reads power, heat and clocks while something runs; see :mod:`~gdws_agent.power.base`."""

"""The REST interface: who may ask, what a request says, and how it is answered; see :mod:`~gdws_agent.api.app`."""

"""The REST interface: access control, requests, routes and responses; see :mod:`~gdws_agent.api.app`."""

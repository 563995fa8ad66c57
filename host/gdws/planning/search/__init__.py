"""Which option each layer takes so that a network is fast on one device, found with the device in the loop.

::

    options -> carriers -> (device: times and profiles) -> latency_model -> choose -> (device, accuracy) -> again

Everything here is plain data and arithmetic. What measures and what judges accuracy are given as
:class:`~gdws.planning.search.evidence.Meter` and :class:`~gdws.planning.search.evidence.Judge`.
"""

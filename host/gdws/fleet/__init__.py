"""Sweeps over many devices that survive kills of the coordinator.

:mod:`~gdws.fleet.sweep` turns ``SWEEP.toml`` into jobs, :mod:`~gdws.fleet.folder` keeps them with their results,
:mod:`~gdws.fleet.device_run` measures the jobs of one device and sets it aside where it cannot serve, and
:mod:`~gdws.fleet.coordinator` runs all devices as durable workflows of DBOS. An agent keeps the queue, the lease and
the cells of its own device; the coordinator keeps what is wanted of all.
"""

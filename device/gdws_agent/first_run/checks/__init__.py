"""The checks, by theme. Each takes a :class:`~gdws_agent.first_run.bench.Bench` and returns an outcome."""

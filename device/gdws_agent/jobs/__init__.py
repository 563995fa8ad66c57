"""Jobs: the queue, leases, and the worker process of the running job."""

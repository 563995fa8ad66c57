"""Jobs on their way: the queue, whose turn it is, and the worker process of the one that runs."""

"""What the agent keeps on disk: bundles, jobs and cells, and for how long."""

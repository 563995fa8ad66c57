"""Storage of bundles, jobs and cells, and retention."""

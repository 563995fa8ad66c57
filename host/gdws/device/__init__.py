"""What the host has to do with an agent: its client, jobs, leases, and an agent of its own."""

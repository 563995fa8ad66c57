"""Working with an agent: REST client, jobs, leases, and a local agent."""

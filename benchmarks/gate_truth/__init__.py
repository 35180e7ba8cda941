"""Whether the gate stops what makes a project worse, and nothing else."""

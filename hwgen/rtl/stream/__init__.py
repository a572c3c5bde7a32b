"""Ready/valid plumbing: the contract, pipelines, register slices."""

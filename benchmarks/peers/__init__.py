"""Other tools that ask a model the cases of a file and check its answers."""

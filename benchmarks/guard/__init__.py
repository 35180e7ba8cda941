"""The guard's precision, recall and false refusals, on texts that its rules were not written from."""

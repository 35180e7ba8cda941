"""The playbook off and on, in front of the same requests: tokens, latency, incidents, bad releases."""

"""Yours: one folder is one feature. `uv run app feature new NAME` writes the next."""

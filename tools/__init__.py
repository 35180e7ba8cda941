"""The template repository's own commands."""

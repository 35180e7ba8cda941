"""Measurements, never tests: each prints a Markdown table for docs/benchmarks.md."""

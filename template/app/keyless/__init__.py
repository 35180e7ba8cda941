"""The keyless model: small, deterministic, extractive. It quotes; it never writes. See docs/model-card.md."""

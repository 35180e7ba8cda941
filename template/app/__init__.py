"""What runs in production: one request path, its steps and its data."""

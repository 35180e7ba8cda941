"""What decides whether a change may be merged: it runs where changes are made, never in production."""

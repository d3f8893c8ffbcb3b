"""Records events: logs and metrics."""

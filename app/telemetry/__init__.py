"""Records events: logs, metrics and traces."""

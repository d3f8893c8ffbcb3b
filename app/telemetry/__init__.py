"""Code that tells operators what happens: logs, and what Authing did last."""

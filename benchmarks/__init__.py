"""Benchmarks: the service against peers, on pinned cores (benchmarks/README.md)."""

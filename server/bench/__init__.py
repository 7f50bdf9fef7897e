"""Benchmarks: one file a hot path, beside its ceiling."""

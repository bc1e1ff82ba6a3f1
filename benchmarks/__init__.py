"""Benchmarks: figures as ratios of things measured in one run, in turn, on one machine."""

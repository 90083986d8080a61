"""Benchmarks: ratios with a reference in the same run. ``make bench``; figures in docs/performance.md."""

"""The benchmark behind scripts/bench; docs/performance.md says how to run and read it. Not product code."""

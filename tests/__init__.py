"""Tests; a package, so that suites and doubles can be shared between folders."""

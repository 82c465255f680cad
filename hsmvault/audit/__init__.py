"""Records of what was done, written before the answer leaves."""

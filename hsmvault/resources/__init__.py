"""The operations: what a call does once it is allowed."""

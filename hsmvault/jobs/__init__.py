"""Background work that holds a lease."""

"""The management plane on the wire."""

"""Who issues certificates: one protocol, several issuers."""

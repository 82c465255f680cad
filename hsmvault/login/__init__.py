"""The embedded Entra-like issuer, an application of its own."""

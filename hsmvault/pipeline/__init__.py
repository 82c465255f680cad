"""Firewall, authentication, authorization, operation, audit: in this order, for every request."""

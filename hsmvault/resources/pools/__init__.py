"""Managed HSM pools as resources: made, changed, deleted, recovered and purged through the management plane."""

"""The Azure CLI, unmodified, in an environment of its own."""

"""Azure RBAC as resources: role assignments and role definitions, kept and changed."""

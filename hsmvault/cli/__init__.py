"""The command line: dev, serve, init, migrate, env, check."""

"""The only HTTP client."""

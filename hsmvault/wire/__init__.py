"""The only part that knows aiohttp.web, JSON and api-versions."""

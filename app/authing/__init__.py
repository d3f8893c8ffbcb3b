"""The upstream: Authing's app2wxapp login. Knows Authing and the HTTP client, no HTTP server."""

"""What is served where: the whole surface, as README.md's table has it."""

ROUTES = {
    "/v1/launch": {"GET", "HEAD"},
    "/v1/sessions": {"POST"},
    "/v1/sessions/refresh": {"POST"},
    "/v1/sessions/current": {"GET", "DELETE"},
    "/v1/me": {"GET"},
    "/.well-known/jwks.json": {"GET", "HEAD"},
    "/.well-known/oauth-authorization-server": {"GET", "HEAD"},
    "/livez": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
}
CACHEABLE = (
    "/v1/launch",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
)
WITH_BODY = ("/v1/sessions", "/v1/sessions/refresh")

"""All routes and methods, as the table of docs/api.md lists them."""

ROUTES = {
    "/v1/launch": {"GET", "HEAD"},
    "/v1/sessions": {"POST", "GET", "DELETE"},
    "/v1/sessions/refresh": {"POST"},
    "/v1/sessions/current": {"GET", "DELETE"},
    "/v1/sessions/{session_id}": {"DELETE"},
    "/v1/me": {"GET", "DELETE"},
    "/.well-known/jwks.json": {"GET", "HEAD"},
    "/.well-known/oauth-authorization-server": {"GET", "HEAD"},
    "/.well-known/openid-configuration": {"GET", "HEAD"},
    "/internal/v1/users/{subject}/sessions": {"GET", "DELETE"},
    "/internal/v1/users/{subject}/ban": {"PUT", "GET", "DELETE"},
    "/internal/v1/users/{subject}/history": {"GET"},
    "/internal/v1/sessions/{session_id}/history": {"GET"},
    "/internal/v1/bans": {"GET"},
    "/internal/v1/revocations": {"GET"},
    "/livez": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
}
DESCRIBED = ROUTES | {"/authz": {"GET"}, "/oauth2/introspect": {"POST"}, "/oauth2/revoke": {"POST"}}
"""What OpenAPI describes. It has one method for `/authz`, which answers any."""
INTERNAL = {path for path in ROUTES if path.startswith("/internal/")}
FOR_BEARERS = {
    ("/v1/sessions", "GET"),
    ("/v1/sessions", "DELETE"),
    ("/v1/sessions/current", "GET"),
    ("/v1/sessions/current", "DELETE"),
    ("/v1/sessions/{session_id}", "DELETE"),
    ("/v1/me", "GET"),
    ("/v1/me", "DELETE"),
    ("/authz", "GET"),
}
CACHEABLE = (
    "/v1/launch",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
)
WITH_BODY = {
    "/v1/sessions": "POST",
    "/v1/sessions/refresh": "POST",
    "/internal/v1/users/{subject}/ban": "PUT",
}
OAUTH = {path: methods for path, methods in DESCRIBED.items() if path.startswith("/oauth2/")}
"""Their errors have OAuth's form."""
BY_SERVICE_KEY = {(path, method) for path in INTERNAL for method in ROUTES[path]} | {
    ("/oauth2/introspect", "POST")
}
WEBHOOKS = {"/webhooks/authing": {"POST"}}
"""OpenAPI does not describe it; only Authing calls it."""
GATE_HEADERS = ("X-Auth-User-Id", "X-Auth-Session-Id", "X-Auth-Device-Type", "X-Auth-Expires-At")

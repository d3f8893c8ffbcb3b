// A client whose types openapi-typescript makes from docs/openapi.json. It prints what it saw.
import createClient from "openapi-fetch";
import type { components, paths } from "./ticketgate.js";

type Status = 400 | 401 | 413 | 414 | 429 | 431 | 500 | 503;
type Problem = components["responses"][Status]["content"]["application/problem+json"];

const [, , baseUrl = "", ticket = ""] = process.argv;
const api = createClient<paths>({ baseUrl });

/** The constants of an error are literal types, so `code` selects its members. */
function told(problem: Problem): string {
  switch (problem.code) {
    case "session_ended":
      return `${problem.reason}, ${problem.client_action}`;
    case "rate_limited":
    case "store_unavailable":
      return `after ${problem.retry_after.toFixed()} s`;
    default:
      return problem.client_action;
  }
}

const login = await api.POST("/v1/sessions", {
  body: { ticket, device: { type: "ios" } },
  params: { header: { "idempotency-key": crypto.randomUUID() } },
});
if (!login.data) throw new Error("no session");

const refresh = await api.POST("/v1/sessions/refresh", {
  body: { refresh_token: login.data.refresh_token },
});
const { outcome, access_token } = refresh.data!;
const headers = { Authorization: `Bearer ${access_token}` };
const me = await api.GET("/v1/me", { headers });
const gate = await api.GET("/authz", { headers });
await api.DELETE("/v1/sessions", { headers, params: { query: { scope: "all" } } });
const ended = await api.GET("/v1/me", { headers });
const revoked = await api.POST("/oauth2/revoke", {
  body: { token: access_token },
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
});

console.log(
  JSON.stringify({
    outcome,
    sub: me.data?.sub === login.data.user.sub,
    gate: gate.response.status,
    ended: ended.error && told(ended.error),
    revoked: revoked.response.status,
  }),
);

// The compiler must refuse each of these.
export const mistakes = (): unknown[] => [
  // @ts-expect-error the refresh token is missing
  api.POST("/v1/sessions/refresh", { body: {} }),
  // @ts-expect-error neither ticket nor ext_msg
  api.POST("/v1/sessions", { body: { device: {} } }),
  // @ts-expect-error null is not absent
  api.POST("/v1/sessions", { body: { ticket: null } }),
  // @ts-expect-error scope has no default
  api.DELETE("/v1/sessions", {}),
  // @ts-expect-error no such route
  api.GET("/v1/nothing"),
];

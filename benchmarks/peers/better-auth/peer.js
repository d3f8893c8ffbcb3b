// better-auth with better-sqlite3 (WAL, synchronous=FULL): a ticket login as a plugin of its own,
// session check, rolling refresh (each check extends the row) and refresh to a JWT (jwt plugin).
// No rotation of a secret, and no answer to a lost response.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

import { betterAuth } from "better-auth";
import { createAuthEndpoint } from "better-auth/api";
import { setSessionCookie } from "better-auth/cookies";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import Database from "better-sqlite3";

const { PORT, UPSTREAM, POOL_ID, POOL_SECRET, ROLLING } = process.env;
const database = new Database("auth.db");
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");

const login = createAuthEndpoint("/login", { method: "POST" }, async (ctx) => {
  const response = await fetch(`${UPSTREAM}/oauth/app2wxapp/auth/${POOL_ID}`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ ticket: ctx.body.ticket, secret: POOL_SECRET }),
  });
  const record = JSON.parse((await response.json()).data);
  verify(record.token);
  const email = `${record._id}@example.com`;
  const users = ctx.context.internalAdapter;
  const known = await users.findUserByEmail(email);
  const user = known?.user ?? (await users.createUser({ email, name: record.nickname, emailVerified: true }));
  const session = await users.createSession(user.id, false);
  await setSessionCookie(ctx, { session, user });
  return ctx.json({ token: session.token });
});

const options = {
  database,
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: "made-up-secret-of-better-auth-0123456789abcdef",
  session: { updateAge: ROLLING ? 0 : 86_400 },
  rateLimit: { enabled: true, window: 1, max: 999_999 },
  advanced: { ipAddress: { ipAddressHeaders: ["x-forwarded-for"] } },
  telemetry: { enabled: false },
  plugins: [jwt({ jwks: { keyPairConfig: { alg: "ES256" } } }), { id: "ticket", endpoints: { login } }],
};
await (await getMigrations(options)).runMigrations();

function verify(token) {
  const [header, payload, signature] = token.split(".");
  const expected = createHmac("sha256", POOL_SECRET).update(`${header}.${payload}`).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, "base64url"))) throw new Error("bad token");
}

const handle = toNodeHandler(betterAuth(options));
createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  response.once("finish", () => process.stdout.write(`${JSON.stringify({ method: request.method, route: request.url, status: response.statusCode })}\n`));
  return handle(request, response);
}).listen(Number(PORT), "127.0.0.1");

// Authing's Node SDK behind fastify: exchanges a ticket and verifies the token.
// It stores nothing, has no session of its own and no retry.
import { createHmac, timingSafeEqual } from "node:crypto";

import { AuthenticationClient } from "authing-node-sdk";
import Fastify from "fastify";

const { PORT, UPSTREAM, POOL_ID, POOL_SECRET } = process.env;
const authing = new AuthenticationClient({ appId: POOL_ID, appHost: UPSTREAM, appSecret: POOL_SECRET });
const app = Fastify({ logger: true, disableRequestLogging: true });

// One log line a request, as the service writes it.
app.addHook("onResponse", (request, reply, done) => {
  request.log.info({ method: request.method, route: request.url, status: reply.statusCode, ms: reply.elapsedTime });
  done();
});

app.post("/login", async (request, reply) => {
  const { data } = await authing.exchangeTokenSetWithQrCodeTicket({
    ticket: request.body.ticket, client_id: POOL_ID, client_secret: POOL_SECRET,
  });
  const user = verify(data.id_token);
  return reply.code(201).send({ user, ...data });
});

function verify(token) {
  const [header, payload, signature] = token.split(".");
  const expected = createHmac("sha256", POOL_SECRET).update(`${header}.${payload}`).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, "base64url"))) throw new Error("bad token");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  if (claims.exp * 1000 < Date.now()) throw new Error("expired");
  return claims.data.id;
}

await app.listen({ host: "127.0.0.1", port: Number(PORT) });

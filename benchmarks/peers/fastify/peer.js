// A hand-made fastify app with better-sqlite3 (WAL, synchronous=FULL): login, refresh, check.
// A yardstick, not a product: no retry of a lost response, no limits, no bans, no strict parsing.
import { createHash, createHmac, generateKeyPairSync, randomBytes, timingSafeEqual } from "node:crypto";

import Database from "better-sqlite3";
import { createSigner, createVerifier } from "fast-jwt";
import Fastify from "fastify";
import { Pool } from "undici";

const { PORT, UPSTREAM, POOL_ID, POOL_SECRET } = process.env;
const db = new Database("sessions.db");
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec("CREATE TABLE sessions (id TEXT PRIMARY KEY, user TEXT, profile TEXT, hash BLOB, used INTEGER) WITHOUT ROWID");
db.exec("CREATE TABLE tickets (hash BLOB PRIMARY KEY) WITHOUT ROWID");
const insert = db.prepare("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)");
const redeem = db.prepare("INSERT INTO tickets VALUES (?)");
const rotate = db.prepare("UPDATE sessions SET hash = ?, used = ? WHERE id = ? AND hash = ?");
const select = db.prepare("SELECT user, profile FROM sessions WHERE id = ?");
const create = db.transaction((ticket, ...row) => { redeem.run(sha256(ticket)); insert.run(...row); });

const key = generateKeyPairSync("ec", { namedCurve: "P-256", privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } });
const sign = createSigner({ algorithm: "ES256", key: key.privateKey, expiresIn: 600_000 });
const verifyEach = createVerifier({ algorithms: ["ES256"], key: key.publicKey });
const verifyCached = createVerifier({ algorithms: ["ES256"], key: key.publicKey, cache: 10_000 });
const authing = new Pool(UPSTREAM, { connections: 100 });
const app = Fastify({ logger: true, disableRequestLogging: true });

// One log line a request, as the service writes it.
app.addHook("onResponse", (request, reply, done) => {
  request.log.info({ method: request.method, route: request.url, status: reply.statusCode, ms: reply.elapsedTime });
  done();
});

app.post("/login", async (request, reply) => {
  const { ticket } = request.body;
  const { body } = await authing.request({
    method: "POST", path: `/oauth/app2wxapp/auth/${POOL_ID}`, headers: { "content-type": "application/json" },
    body: JSON.stringify({ ticket, secret: POOL_SECRET }),
  });
  const { data } = await body.json();
  const record = JSON.parse(data);
  const user = verifyAuthing(record.token);
  const [id, secret] = [randomBytes(16).toString("base64url"), randomBytes(32)];
  create(ticket, id, user, data, sha256(secret), Date.now());
  return reply.code(201).send(tokens(id, user, secret));
});

app.post("/refresh", (request, reply) => {
  const [id, secret] = request.body.refresh_token.split(".");
  const next = randomBytes(32);
  const { changes } = rotate.run(sha256(next), Date.now(), id, sha256(Buffer.from(secret, "base64url")));
  if (!changes) return reply.code(401).send();
  return reply.send(tokens(id, select.get(id).user, next));
});

app.get("/check", (request, reply) => {
  const { sid } = verifyEach(request.headers.authorization.slice(7));
  return reply.send({ id: sid, ...select.get(sid) });
});

app.get("/check-cached", (request, reply) => reply.send(verifyCached(request.headers.authorization.slice(7))));

const sha256 = (data) => createHash("sha256").update(data).digest();
const tokens = (sid, sub, secret) => ({ access_token: sign({ sub, sid }), refresh_token: `${sid}.${secret.toString("base64url")}` });

function verifyAuthing(token) {
  const [header, payload, signature] = token.split(".");
  const expected = createHmac("sha256", POOL_SECRET).update(`${header}.${payload}`).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, "base64url"))) throw new Error("bad token");
  return JSON.parse(Buffer.from(payload, "base64url")).data.id;
}

await app.listen({ host: "127.0.0.1", port: Number(PORT) });

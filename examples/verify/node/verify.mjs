// Verifies access tokens of Ticketgate with jose: `node verify.mjs < tokens`.
// Prints `accept SUB SID`, `refuse REASON` or `unavailable` for each line.

import { createInterface } from "node:readline";
import { errors, jwtVerify } from "jose";
import { JwksUnavailable, remoteKeys } from "./jwks.mjs";
import { Revocations } from "./revocations.mjs";

const { ISSUER, AUDIENCE = ISSUER, ALGORITHM = "ES256", REVOCATIONS_URL } = process.env;
const { JWKS_URL = `${ISSUER}/.well-known/jwks.json`, SERVICE_API_KEY } = process.env;
const CLOCK_SKEW = 30;
const keys = remoteKeys(JWKS_URL);
const revoked = REVOCATIONS_URL
  ? new Revocations(REVOCATIONS_URL, SERVICE_API_KEY, { stream: "REVOCATIONS_STREAM" in process.env })
  : new Set();

// Returns the claims of a good access token. Throws a JOSEError for any other (answer 401; the
// reason is for your log), and JwksUnavailable without keys (answer 503).
export async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: [ALGORITHM], // never the header's
    typ: "at+jwt",
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["sub", "sid", "iat", "exp"],
    clockTolerance: 0, // for exp: the revocation feed forgets a session then
  });
  // jose does not check this. A new token must not fail because our clock is a little late.
  if (payload.iat > Date.now() / 1000 + CLOCK_SKEW) throw new errors.JWTInvalid("iat");
  if (revoked.has(payload.sid)) throw new errors.JWTInvalid("revoked");
  return payload;
}

await revoked.complete;
for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { sub, sid } = await verify(token);
    console.log(`accept ${sub} ${sid}`);
  } catch (error) {
    if (error instanceof errors.JOSEError) console.log(`refuse ${error.code} ${error.message}`);
    else if (error instanceof JwksUnavailable) console.log("unavailable");
    else throw error;
  }
}
process.exit(); // a stream of the feed would keep the process

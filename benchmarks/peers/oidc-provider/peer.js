// oidc-provider with its in-memory store: refresh with rotation (opaque and JWT), introspection.
// Nothing survives a restart. `/seed` makes a grant and its tokens without a login page.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";

import Provider from "oidc-provider";

const resource = "https://api.example.com";
const client = { client_id: "app", client_secret: "made-up-client-secret", grant_types: ["authorization_code", "refresh_token"], redirect_uris: ["https://app.example.com/cb"] };
const jwk = { ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" };
const provider = new Provider("http://127.0.0.1", {
  clients: [{ ...client, id_token_signed_response_alg: "ES256" }],
  jwks: { keys: [jwk] },
  rotateRefreshToken: true,
  ttl: { AccessToken: 600, Grant: 86_400, RefreshToken: 86_400 },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: "api", accessTokenFormat: "jwt", accessTokenTTL: 600, jwt: { sign: { alg: "ES256" } } }),
      useGrantedResource: () => true,
    },
  },
});

async function seed(jwt) {
  const accountId = `user-${Math.random()}`;
  const grant = new provider.Grant({ accountId, clientId: "app" });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope(resource, "api");
  const common = {
    accountId, grantId: await grant.save(), client: await provider.Client.find("app"), gty: "authorization_code",
    authTime: Math.floor(Date.now() / 1000), scope: jwt ? "api offline_access" : "offline_access", ...(jwt && { resource }),
  };
  const refresh_token = await new provider.RefreshToken({ ...common, rotations: 0 }).save();
  const access_token = await new provider.AccessToken({ ...common, scope: "offline_access", resource: undefined }).save();
  return { access_token, refresh_token };
}

const handle = provider.callback();
createServer({ keepAliveTimeout: 75_000 }, async (request, response) => {
  response.once("finish", () => process.stdout.write(`${JSON.stringify({ method: request.method, route: request.url, status: response.statusCode })}\n`));
  if (!request.url.startsWith("/seed")) return handle(request, response);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(await seed(request.url.endsWith("jwt"))));
}).listen(Number(process.env.PORT), "127.0.0.1");

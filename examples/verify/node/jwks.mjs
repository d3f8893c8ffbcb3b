// The public keys of Ticketgate, kept for as long as Cache-Control allows.

import { createRemoteJWKSet, customFetch, errors } from "jose";

// Between two attempts after a failure, and between two because of an unknown kid.
const COOLDOWN = 10_000;

// No key set was ever fetched. Answer 503, not 401: the token was not judged.
export class JwksUnavailable extends Error {}

// Returns the second argument of jwtVerify. A fetch that fails keeps the old keys.
export function remoteKeys(url) {
  let staleAt = 0;
  let unknownAfter = 0;
  const fetchAndNote = async (address, options) => {
    const response = await fetch(address, options);
    const maxAge = /max-age=(\d+)/.exec(response.headers.get("cache-control") ?? "");
    if (response.ok) staleAt = Date.now() + (maxAge ? Number(maxAge[1]) * 1000 : COOLDOWN);
    return response;
  };
  const keys = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: Infinity, // jose drops the keys then; the function below keeps them
    cooldownDuration: Infinity,
    timeoutDuration: 2_000,
    [customFetch]: fetchAndNote,
  });
  const reload = () =>
    keys.reload().catch((error) => console.error("the JWKS cannot be fetched:", error.message));

  return async (header, token) => {
    if (Date.now() >= staleAt) {
      staleAt = Date.now() + COOLDOWN;
      const reloaded = reload();
      if (!keys.jwks()) await reloaded; // later ones happen in the background
    }
    if (!keys.jwks()) throw new JwksUnavailable();
    if (!header.kid) throw new errors.JWKSNoMatchingKey(); // jose would try the only key
    try {
      return await keys(header, token);
    } catch (error) {
      if (error.code !== "ERR_JWKS_NO_MATCHING_KEY" || Date.now() < unknownAfter) throw error;
      await reload(); // others with the same new kid share this one
      unknownAfter = Date.now() + COOLDOWN;
      return keys(header, token);
    }
  };
}

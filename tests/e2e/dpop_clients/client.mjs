// A foreign client: `node client.mjs LIBRARY ALGORITHM URL TICKET` logs in, refreshes, and repeats the refresh.
// It prints what it got as one JSON object. Address and nonce come from the service.
import { randomUUID } from 'node:crypto'
import * as dpop from 'dpop'
import * as jose from 'jose'

const [library, alg, url, ticket] = process.argv.slice(2)
const { issuer } = await (await fetch(`${url}/.well-known/oauth-authorization-server`)).json()

const proofWith = {
  async dpop() {
    const pair = await dpop.generateKeyPair(alg)
    return (htu, nonce) => dpop.generateProof(pair, htu, 'POST', nonce)
  },
  async jose() {
    const { publicKey, privateKey } = await jose.generateKeyPair(alg)
    const jwk = await jose.exportJWK(publicKey)
    return (htu, nonce) =>
      new jose.SignJWT({ htm: 'POST', htu, nonce })
        .setProtectedHeader({ typ: 'dpop+jwt', alg, jwk })
        .setJti(randomUUID())
        .setIssuedAt()
        .sign(privateKey)
  },
}
const proof = await proofWith[library]()
let nonce
let nonceRequests = 0

async function post(path, body, key) {
  const response = await fetch(url + path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: {
      'Content-Type': 'application/json',
      'Idempotency-Key': key,
      DPoP: await proof(issuer + path, nonce),
    },
  })
  nonce = response.headers.get('DPoP-Nonce') ?? nonce
  const answer = await response.json()
  if (answer.error !== 'use_dpop_nonce') return answer
  nonceRequests += 1
  return post(path, body, key)
}

const [loginKey, refreshKey] = [randomUUID(), randomUUID()]
const login = await post('/v1/sessions', { ticket }, loginKey)
const again = await post('/v1/sessions', { ticket }, loginKey)
const first = await post('/v1/sessions/refresh', { refresh_token: login.refresh_token }, refreshKey)
const second = await post('/v1/sessions/refresh', { refresh_token: login.refresh_token }, refreshKey)
console.log(
  JSON.stringify({
    nonceRequests,
    sameLogin: login.refresh_token === again.refresh_token,
    outcomes: [first.outcome, second.outcome],
    sameSuccessor: first.refresh_token === second.refresh_token,
    bound: Boolean(jose.decodeJwt(second.access_token).cnf?.jkt),
    refreshToken: second.refresh_token,
  }),
)

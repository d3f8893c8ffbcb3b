// Lets the reference clients for TypeScript and ArkTS be graded: does what the sandbox says, with the client's own code.
// node node.mjs web|harmony FOLDER ADDRESS   (FOLDER: the compiled client)
import { createRequire } from "node:module";
import { webcrypto } from "node:crypto";

const QUICK = 5; // time-outs are shorter than on a phone by this factor
const [kind, folder, baseUrl] = process.argv.slice(2);
let stored, deviceKey, phone;

/** Makes the clients of one process, with the store and the key of the installation. */
const CLIENTS = {
  async web() {
    const { TicketgateClient } = await import(`${folder}/ticketgate.js`);
    const { fetchTransport, requestTransport, PluginStore, WebCryptoKey } = await import(`${folder}/platforms.js`);
    return async (around, write) => {
      deviceKey ??= new WebCryptoKey(await WebCryptoKey.make());
      const store = new PluginStore(async () => stored, write); // of two clients, as those of an app and its widget
      return [fetchTransport, requestTransport(uniRequest)].map((send) => {
        const transport = (request, seconds) => around(send(request, seconds / QUICK));
        return new TicketgateClient({ baseUrl, device: { id: "web", type: "ios" }, transport, store, deviceKey });
      });
    };
  },
  async harmony() {
    const { TicketgateClient } = createRequire(import.meta.url)(`${folder}/TicketgateClient.js`);
    return async (around, write) => {
      deviceKey ??= await softwareKey();
      const platform = {
        send: (request) => around(sent(request)),
        store: { read: async () => stored ?? "", write },
        deviceKey,
        newKey: () => crypto.randomUUID(),
        utf8: (text) => new TextEncoder().encode(text),
        base64url: (data) => Buffer.from(data).toString("base64url"),
      };
      return [new TicketgateClient(baseUrl, { id: "harmony", type: "harmony" }, platform)];
    };
  },
};

async function sent({ url, ...request }) {
  const response = await fetch(url, { ...request, redirect: "error", signal: AbortSignal.timeout(10_000 / QUICK) });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
}

/** uni.request, as its page describes it. */
function uniRequest({ url, method, header, data, timeout, success, fail }) {
  const signal = AbortSignal.timeout(timeout);
  fetch(url, { method, headers: header, body: data, redirect: "error", signal })
    .then(async (response) => {
      const named = [...response.headers].map(([name, value]) => [name.toUpperCase(), value]);
      success({ statusCode: response.status, header: Object.fromEntries(named), data: await response.text() });
    })
    .catch(fail);
}

async function softwareKey() {
  const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pair = await webcrypto.subtle.generateKey(ecdsa, false, ["sign"]);
  const point = new Uint8Array(await webcrypto.subtle.exportKey("raw", pair.publicKey));
  return {
    publicKey: async () => point.slice(1),
    sign: async (data) => new Uint8Array(await webcrypto.subtle.sign(ecdsa, pair.privateKey, data)),
  };
}

/** One process of the app. After `kill` it neither gets a response nor stores anything. */
async function started(makeClient) {
  let isAlive = true;
  const around = async (response) => {
    await Promise.allSettled([response]);
    return isAlive ? response : new Promise(() => {});
  };
  const write = async (text) => {
    if (isAlive) stored = text;
  };
  const clients = await makeClient(around, write);
  return { client: clients[0], clients, kill: () => (isAlive = false) };
}

async function refresh(client) {
  await client.refresh(await client.accessToken());
}

async function carryOut({ do: what, ext_msg, at_once = 1, kill_after }, makeClient) {
  if (what === "install") {
    stored = deviceKey = undefined;
    phone = await started(makeClient);
  } else if (what === "restart_app") {
    phone = await started(makeClient);
    await phone.client.resume();
  } else if (what === "sign_in") {
    await phone.client.signIn(ext_msg);
  } else if (what === "call_api") {
    const clients = Array.from({ length: at_once }, (_, index) => phone.clients[index % phone.clients.length]);
    await Promise.all(clients.map((client) => client.call("GET", "/v1/me")));
  } else if (what === "refresh" && kill_after) {
    refresh(phone.client).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, kill_after * 1000));
    phone.kill();
  } else if (what === "refresh") {
    await refresh(phone.client);
  } else if (what === "log_out") {
    await phone.client.logOut();
  }
}

const makeClient = await CLIENTS[kind]();
for (;;) {
  const response = await fetch(`${baseUrl}/sandbox/api/grade/next`, { method: "POST" });
  const instruction = await response.json();
  if (instruction.do === "stop") {
    console.log(JSON.stringify(instruction));
    break;
  }
  await carryOut(instruction, makeClient).catch((error) => {
    if (!error.action) throw error; // an error of the client is for its app
  });
}

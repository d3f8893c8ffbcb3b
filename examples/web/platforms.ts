/** What the client needs of Capacitor, uni-app, Taro and the browser. */

import type { DeviceKey, SecureStore, Transport } from "./ticketgate.js";

/** For Capacitor and H5. */
export const fetchTransport: Transport = async ({ url, ...request }, seconds) => {
  const signal = AbortSignal.timeout(seconds * 1000);
  const response = await fetch(url, { ...request, signal, credentials: "omit", redirect: "error" });
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
};

/** For uni-app and Taro: `requestTransport(uni.request)`, `requestTransport(Taro.request)`. */
export function requestTransport(request: (options: any) => unknown): Transport {
  return ({ url, method, headers, body }, seconds) =>
    new Promise((resolve, reject) => {
      const success = ({ statusCode, header, data }: any) => {
        const lower = Object.entries(header).map(([name, value]) => [name.toLowerCase(), String(value)]);
        const text = typeof data === "string" ? data : JSON.stringify(data);
        resolve({ status: statusCode, headers: Object.fromEntries(lower), body: text });
      };
      const timeout = seconds * 1000;
      request({ url, method, header: headers, data: body, timeout, dataType: "text", success, fail: reject });
    });
}

/** Stores the text by a plugin for the Keychain and the Keystore; never in localStorage. */
export class PluginStore implements SecureStore {
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly read: () => Promise<string | null>, readonly write: (text: string) => Promise<void>) {}

  /** Web Locks work between tabs and WebViews of one origin. Without them there is one script only. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (globalThis.navigator?.locks) return navigator.locks.request("ticketgate", work) as Promise<T>;
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** A WebCrypto key that no script can read; IndexedDB holds it. For Capacitor and H5. */
export class WebCryptoKey implements DeviceKey {
  constructor(private readonly pair: CryptoKeyPair) {}

  static async make(): Promise<CryptoKeyPair> {
    return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  }

  static async open(): Promise<WebCryptoKey> {
    const opening = indexedDB.open("ticketgate", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    const database = await done(opening);
    const keys = () => database.transaction("keys", "readwrite").objectStore("keys");
    const pair: CryptoKeyPair = (await done(keys().get("device"))) ?? (await WebCryptoKey.make());
    await done(keys().put(pair, "device"));
    return new WebCryptoKey(pair);
  }

  async publicKey(): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.exportKey("raw", this.pair.publicKey)).slice(1);
  }

  async sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, this.pair.privateKey, data));
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

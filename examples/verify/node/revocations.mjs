// The revocation feed of Ticketgate: sessions that ended before their access tokens expire.

import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_AFTER_FAILURE = 1_000;
const SILENCE = 30_000; // a stream that is silent for longer is dead

// While the feed cannot be reached, what is known stays in force, and a logout counts when the
// access token expires. Await `complete` before you serve.
export class Revocations {
  #expires = new Map();
  #cursor = "";

  constructor(url, serviceKey, { stream }) {
    Object.assign(this, { url, serviceKey, stream });
    this.complete = new Promise((resolve) => (this.isComplete = resolve));
    this.#follow();
  }

  has(sessionId) {
    return this.#expires.has(sessionId);
  }

  async #follow() {
    for (;;) {
      let pause = PAUSE_AFTER_FAILURE;
      try {
        while (!(pause = await this.#poll())); // 0: there is more already
        this.isComplete();
        if (this.stream) await this.#listen();
      } catch (error) {
        console.error("the revocation feed cannot be followed:", error.message);
      }
      await sleep(pause, undefined, { ref: false });
    }
  }

  // Asks once; returns the milliseconds until the next time.
  async #poll() {
    const response = await this.#open("application/json", AbortSignal.timeout(SILENCE));
    const page = await response.json();
    page.events.forEach((event) => this.#add(event));
    this.#cursor = page.cursor;
    return page.poll_after * 1000;
  }

  // Takes events as they come, until the connection ends.
  async #listen() {
    const connection = new AbortController();
    const watchdog = setTimeout(() => connection.abort(), SILENCE).unref();
    try {
      const response = await this.#open("text/event-stream", connection.signal);
      let text = "";
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        watchdog.refresh();
        const blocks = (text + chunk).replaceAll("\r\n", "\n").split("\n\n");
        text = blocks.pop(); // the beginning of the next event
        for (const block of blocks) this.#take(block);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  // Takes one server-sent event. A line that begins with a colon is a comment.
  #take(block) {
    const fields = Object.fromEntries(
      block.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")]),
    );
    if (!("data" in fields)) return;
    this.#add(JSON.parse(fields.data));
    this.#cursor = fields.id;
  }

  #add({ sid, expires_at }) {
    this.#expires.set(sid, expires_at);
    for (const [oldest, expiresAt] of this.#expires) {
      if (expiresAt > Date.now() / 1000) break;
      this.#expires.delete(oldest); // none of its access tokens is valid any more
    }
  }

  async #open(accept, signal) {
    const query = this.#cursor ? `?after=${encodeURIComponent(this.#cursor)}` : "";
    const headers = { authorization: `Bearer ${this.serviceKey}`, accept };
    const response = await fetch(this.url + query, { headers, signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response;
  }
}

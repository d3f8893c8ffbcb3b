// Sends requests as a correct app does, and lists each with its answer and a curl line.

import { language, show, t, translate } from "./words.js";

const SHOWN_HEADERS = [
  "content-type", "location", "idempotency-replayed", "retry-after", "www-authenticate", "x-request-id",
];
const MOST_ATTEMPTS = 4;
const steps = document.getElementById("steps");

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** A key for one login or one refresh; an app stores it with the request until it has the answer. */
export const newKey = () => hex(crypto.getRandomValues(new Uint8Array(16)));

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Send `{who, meaning, method, path, body?, bearer?, key?}` once.
 * The answer is `{status, headers, body, entry}`; its status is 0 if the connection was closed.
 * `who` and `meaning` are keys of words.
 */
export async function exchange(request) {
  const headers = { "Accept-Language": language() };
  if (request.body) headers["Content-Type"] = "application/json";
  if (request.key) headers["Idempotency-Key"] = request.key;
  if (request.bearer) headers.Authorization = `Bearer ${request.bearer}`;
  const body = request.body && JSON.stringify(request.body);
  const entry = list(request, headers, body);
  try {
    const response = await fetch(request.path, { method: request.method, headers, body });
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, body: parsed(text), entry };
    entry.answered(response, text);
    // Without the page's help too: a browser resends a request whose connection was closed.
    if (isReplay(answer)) entry.note("note_replayed");
    return answer;
  } catch {
    entry.unanswered();
    return { status: 0, headers: new Headers(), body: {}, entry };
  } finally {
    document.dispatchEvent(new Event("answered"));
  }
}

/**
 * Send a request until it is answered for good; `say` tells the user what happens.
 * A request with a key is sent again with the same key, so a lost answer costs nothing.
 */
export async function send(request, say) {
  const lose = request.key && taken("lose");
  const twice = request.key && taken("twice");
  let answer = twice ? await sentTwice(request, say) : await exchange(request);
  if (lose) answer = await sentAgain(request, answer, say);
  for (let attempt = 1; attempt < MOST_ATTEMPTS && isTemporary(answer); attempt++) {
    const seconds = Number(answer.headers.get("retry-after") ?? attempt);
    say("say_wait", { reason: answer.body.title ?? t("say_no_answer"), seconds });
    await pause(seconds * 1000);
    answer = await exchange(request);
    answer.entry.note("note_retry");
  }
  return answer;
}

const isReplay = ({ headers, body }) => headers.has("idempotency-replayed") || body.outcome === "replayed";
const isTemporary = ({ status, body }) => !status || /^retry/.test(body.client_action ?? "");

function taken(id) {
  const box = document.getElementById(id);
  const on = box.checked;
  box.checked = false;
  return on;
}

async function sentTwice(request, say) {
  const [first, second] = await Promise.all([exchange(request), exchange(request)]);
  if (haveSameRefreshToken(first, second)) {
    second.entry.note("note_same");
    second.told = true;
    say("say_twice");
  }
  return second;
}

async function sentAgain(request, lost, say) {
  lost.entry.note("note_lost");
  say("say_lost");
  await pause(700);
  const answer = await exchange(request);
  if (haveSameRefreshToken(lost, answer)) {
    answer.entry.note("note_same");
    answer.told = true;
    say("say_nothing_lost");
  }
  return answer;
}

const haveSameRefreshToken = (one, other) =>
  one.body.refresh_token && one.body.refresh_token === other.body.refresh_token;

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Add a request to the list; the result shows the answer later. */
function list(request, headers, body) {
  const item = document.getElementById("step-template").content.cloneNode(true).firstElementChild;
  const part = (name) => item.querySelector(`[data-part=${name}]`);
  const chip = item.querySelector(".chip");
  translate(item);
  show(item.querySelector(".who"), request.who, request.values);
  item.querySelector(".line").textContent = `${request.method} ${request.path}`;
  show(part("meaning"), request.meaning);
  part("request").textContent = message(`${request.method} ${request.path}`, Object.entries(headers), body);
  part("curl").textContent = curl(request, headers, body);
  item.querySelector("button").addEventListener("click", ({ target }) => copy(part("curl"), target));
  for (const each of steps.querySelectorAll("details[open]")) each.open = false;
  item.firstElementChild.open = true;
  steps.prepend(item);
  document.getElementById("nothing-sent").hidden = true;
  return {
    note: (key) => show(item.querySelector(".note"), key),
    answered(response, text) {
      const shown = SHOWN_HEADERS.filter((name) => response.headers.has(name));
      const headers = shown.map((name) => [name, response.headers.get(name)]);
      chip.textContent = response.status;
      chip.classList.add(response.ok ? "good" : "bad");
      part("answer").textContent = message(`${response.status} ${response.statusText}`, headers, text);
    },
    unanswered() {
      chip.textContent = "–";
      chip.classList.add("bad");
      show(part("answer"), "no_answer");
    },
  };
}

function message(start, headers, body) {
  const fields = headers.map(([name, value]) => `${name}: ${value}`);
  return [start, ...fields, "", body ? pretty(body) : t("no_body")].join("\n");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function curl({ method, path }, headers, body) {
  const words = ["curl", "-sS", ...(method === "GET" ? [] : ["-X", method]), location.origin + path];
  for (const [name, value] of Object.entries(headers)) words.push("-H", `${name}: ${value}`);
  if (body) words.push("-d", body);
  return words.map(quoted).join(" ");
}

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

async function copy(source, button) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    show(button, "copied");
  } catch {
    // A page without TLS on another machine may not write to the clipboard.
    getSelection().selectAllChildren(source);
    show(button, "selected");
  }
  setTimeout(() => show(button, "copy"), 2000);
}

export function clearTraffic() {
  steps.replaceChildren();
  document.getElementById("nothing-sent").hidden = false;
}

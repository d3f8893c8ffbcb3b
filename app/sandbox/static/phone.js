// One phone: the app on it, the mini program that it opens, and the session that it keeps.

import { exchange, newKey, pause, send } from "./traffic.js";
import { show, t, translate } from "./words.js";

const STEP = 700; // milliseconds in which a user can follow one step of a demonstration
const TIME_CLAIMS = ["iat", "exp", "auth_time"];

export class Phone {
  /** `desk` is `{personas, serviceKey, onePhone(), others(phone), changed()}`. */
  constructor(number, desk) {
    this.number = number;
    this.desk = desk;
    this.who = { who: "phone", values: { number } };
    this.device = { id: `sandbox-${number}`, type: "ios", name: `iPhone ${number}`, app_version: "1.0.0" };
    this.tokens = JSON.parse(sessionStorage.getItem(this.device.id));
    this.element = document.getElementById("phone-template").content.cloneNode(true).firstElementChild;
    this.form = this.element.querySelector("form");
    this.connect();
    this.view(this.tokens ? "in" : "out");
    setInterval(() => this.showTimes(), 1000);
  }

  part = (name) => this.element.querySelector(`[data-part=${name}]`);
  say = (key, values) => show(this.element.querySelector(".notice"), key, values);

  connect() {
    const title = this.element.querySelector("h3");
    title.id = `phone-${this.number}`;
    show(title, "phone", { number: this.number });
    this.element.setAttribute("aria-labelledby", title.id);
    for (const button of this.element.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.act(() => this[button.dataset.do]()));
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.act(() => this.approve());
    });
    for (const [value, name] of Object.entries(this.desk.personas)) {
      const option = add(this.form.persona, "option", `persona_${value}`, { name });
      option.value = value;
    }
    translate(this.element);
  }

  /** Run one action; further clicks do nothing until it has ended. */
  async act(action) {
    if (this.element.ariaBusy === "true") return;
    this.element.ariaBusy = "true";
    try {
      await action();
    } finally {
      this.element.ariaBusy = "false";
    }
  }

  view(name) {
    const moves = name !== this.shown && this.element.contains(document.activeElement);
    this.shown = name;
    for (const each of this.element.querySelectorAll("[data-view]")) {
      each.hidden = each.dataset.view !== name;
    }
    show(this.part("state"), `state_${name}`);
    this.part("state").classList.toggle("good", name === "in");
    this.part("state").classList.toggle("bad", name === "ended");
    if (name === "in") this.showSession();
    if (moves) this.element.querySelector(`[data-view=${name}] .primary`).focus();
    this.desk.changed();
  }

  // The login

  async launch() {
    this.say("say_opening");
    const answer = await send({ ...this.who, meaning: "meaning_launch", method: "GET", path: "/v1/launch" }, this.say);
    if (answer.status === 200) this.view("consent");
    else this.fail(answer);
  }

  async approve() {
    const { persona, get_phone, expired } = this.form;
    await this.consent({ persona: persona.value, get_phone: get_phone.checked, expired: expired.checked });
  }

  cancel() {
    return this.consent({ approve: false });
  }

  async consent(body) {
    const asked = { who: "mini_program_name", meaning: "meaning_consent", method: "POST", path: "/sandbox/tickets", body };
    const { ext_msg } = (await exchange(asked)).body;
    this.say("say_consent");
    const login = { ext_msg, device: this.device };
    const answer = await send(this.post("meaning_login", "/v1/sessions", login), this.say);
    if (answer.status !== 201) {
      this.view("out");
      return this.fail(answer);
    }
    this.adopt(answer, "say_login");
    if (this.desk.onePhone()) await this.desk.others(this);
  }

  // The session

  async refresh() {
    const body = { refresh_token: this.tokens.refresh_token };
    const answer = await send(this.post("meaning_refresh", "/v1/sessions/refresh", body), this.say);
    if (answer.status === 200) this.adopt(answer, "say_refresh");
    else await this.fail(answer);
    return answer.status === 200;
  }

  /** Call a route with the access token; refresh once if it has expired. */
  async call() {
    const answer = await this.ask("meaning_call", "GET", "/v1/me");
    if (answer.body.code === "access_token_expired") {
      this.say("say_expired");
      if (await this.refresh()) await this.call();
    } else if (answer.status === 200) this.say("say_call");
    else await this.fail(answer);
  }

  async list() {
    const answer = await this.ask("meaning_list", "GET", "/v1/sessions");
    if (answer.status !== 200) return this.fail(answer);
    this.part("sessions").replaceChildren();
    for (const { device, created_at, current } of answer.body) {
      const item = add(this.part("sessions"), "li");
      item.append(`${device?.name ?? "–"} · ${local(created_at)} `);
      if (current) add(item, "span", "this_phone").className = "chip";
    }
    this.say("say_list", { count: answer.body.length });
  }

  async endOthers() {
    const answer = await this.ask("meaning_end_others", "DELETE", "/v1/sessions?scope=others");
    if (answer.status !== 204) return this.fail(answer);
    this.say("say_end_others");
    await this.desk.others(this);
  }

  async logOut() {
    const answer = await this.ask("meaning_log_out", "DELETE", "/v1/sessions/current");
    if (answer.status !== 204) return this.fail(answer);
    this.forget();
    this.view("out");
    this.say("say_log_out");
  }

  /** A thief copies the refresh token, the phone goes on, and the thief tries the copy. */
  async steal() {
    const body = { refresh_token: this.tokens.refresh_token };
    this.say("say_stolen");
    await pause(STEP);
    if (!(await this.refresh())) return;
    this.say("say_owner");
    await pause(STEP);
    this.say("say_thief");
    await exchange({ ...this.post("meaning_theft", "/v1/sessions/refresh", body), who: "thief" });
    await pause(STEP);
    await this.call();
    if (!this.tokens) this.say("say_caught");
  }

  post = (meaning, path, body) => ({ ...this.who, meaning, method: "POST", path, body, key: newKey() });
  ask = (meaning, method, path) =>
    send({ ...this.who, meaning, method, path, bearer: this.tokens.access_token }, this.say);

  adopt(answer, key) {
    this.tokens = { ...answer.body, received: Date.now() };
    sessionStorage.setItem(this.device.id, JSON.stringify(this.tokens));
    this.view("in");
    if (!answer.told) this.say(key);
  }

  forget() {
    this.tokens = null;
    sessionStorage.removeItem(this.device.id);
    this.part("sessions").replaceChildren();
  }

  async fail({ status, body }) {
    if (this.tokens && body.session_alive === false) return this.end(body);
    const title = body.title ?? t("say_no_answer");
    this.say("say_failed", { title, detail: body.detail ?? (status || "") });
  }

  async end(problem) {
    const { id } = this.tokens.session;
    this.forget();
    this.part("ended-title").textContent = problem.title;
    this.part("ended-detail").textContent = problem.detail;
    this.part("ended-reason").textContent = problem.reason ?? problem.code;
    this.say("say_failed", problem);
    this.view("ended");
    await this.showHistory(id);
  }

  async showHistory(id) {
    const path = `/internal/v1/sessions/${id}/history`;
    const asked = { who: "backend", meaning: "meaning_history", method: "GET", path, bearer: this.desk.serviceKey };
    const answer = await exchange(asked);
    const lines = this.part("history").querySelector("ol");
    lines.replaceChildren();
    for (const { event, at, count, explanation } of answer.body.events ?? []) {
      const line = add(lines, "li");
      add(line, "strong", `event_${event}`);
      line.append(count > 1 ? ` × ${count}` : "", ` · ${local(at)}`);
      if (explanation) add(line, "p").textContent = explanation;
    }
    this.part("history").hidden = answer.status !== 200;
  }

  showSession() {
    const { user, access_token } = this.tokens;
    this.element.querySelector(".avatar").textContent = [...user.nickname][0];
    this.part("nickname").textContent = user.nickname;
    if (user.phone_number) this.part("number").textContent = user.phone_number;
    else show(this.part("number"), "no_number");
    this.showTimes();
    const claims = this.part("claims");
    claims.replaceChildren();
    for (const [name, value] of access_token.split(".").slice(0, 2).flatMap(decoded)) {
      const row = add(claims, "div");
      add(row, "dt").textContent = name;
      add(row, "dd").textContent = TIME_CLAIMS.includes(name) ? `${value} (${local(value)})` : value;
      add(row, "dd", `claim_${name}`).className = "hint";
    }
  }

  showTimes() {
    if (!this.tokens) return;
    const { expires_in, refresh_expires_in, received, server_time, session } = this.tokens;
    const age = (Date.now() - received) / 1000;
    const [access, refresh] = this.element.querySelectorAll("progress");
    showLeft(this.part("access-left"), expires_in - age, access, expires_in);
    showLeft(this.part("refresh-left"), refresh_expires_in - age, refresh, refresh_expires_in);
    showLeft(this.part("session-left"), session.expires_at - server_time - age);
  }
}

/** Append an element, and show a text in it if there is a key. */
export function add(parent, name, key, values) {
  const element = document.createElement(name);
  parent.append(element);
  if (key) show(element, key, values);
  return element;
}

function showLeft(element, left, bar, whole) {
  const seconds = Math.max(0, Math.ceil(left));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60)];
  if (bar) Object.assign(bar, { max: whole, value: seconds });
  if (!seconds) show(element, "run_out");
  else if (hours >= 24) show(element, "days", { days: Math.floor(hours / 24), hours: hours % 24 });
  else show(element, hours ? "hours" : "minutes", { hours, minutes: minutes % 60, seconds: two(seconds % 60) });
}

const two = (number) => String(number).padStart(2, "0");
const local = (epoch) => new Date(epoch * 1000).toLocaleString();

/** The members of one part of a JWS, which is JSON in base64url (RFC 7515). */
function decoded(part) {
  const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return Object.entries(JSON.parse(new TextDecoder().decode(bytes)));
}

/** The app's side of Ticketgate, without dependencies. docs/mobile.md has the reason of each rule. */

export type HttpRequest = { method: string; url: string; headers: Record<string, string>; body?: string };
/** Names of headers are in lower case. */
export type HttpResponse = { status: number; headers: Record<string, string>; body: string };
/** Sends a request once. Rejects when no whole response has arrived within the seconds. */
export type Transport = (request: HttpRequest, seconds: number) => Promise<HttpResponse>;

/** One text that survives the end of the app, where no backup and no other app can read it. */
export interface SecureStore {
  read(): Promise<string | null>;
  write(text: string): Promise<void>;
  /** Runs `work` while no other work of this app runs, in no process, tab or WebView. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/** A P-256 key that cannot leave the phone: x and y in 64 bytes, and the 64 bytes of an ES256 signature. */
export interface DeviceKey {
  publicKey(): Promise<Uint8Array>;
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

export interface Options {
  baseUrl: string; // SESSION_ISSUER of the service, without a slash at the end
  device: { id: string; type: string; name?: string; app_version?: string };
  transport: Transport;
  store: SecureStore;
  deviceKey?: DeviceKey;
}

export type User = Record<string, unknown>;
type Tokens = { access_token: string; refresh_token: string; refresh_after: number; user: User };
/** What is stored, in one step. `key` is for the next refresh; `ended` are tokens of a log-out to report. */
type State = { login?: { ext_msg: string; key: string }; tokens?: Tokens; key?: string; ended?: Tokens };

const ACTIONS = ["retry", "retry_after", "refresh", "relaunch_wechat", "contact_support", "none"];
const NO_RESPONSE: HttpResponse = { status: 0, headers: {}, body: "" };
const SIGNED_OUT = { ...NO_RESPONSE, body: '{"code": "signed_out", "client_action": "relaunch_wechat"}' };
const [ATTEMPTS, SECONDS] = [3, 10]; // for a request

/** An error of the service, or no response (status 0). `action` says what the app does now. */
export class TicketgateError extends Error {
  readonly code: string;
  readonly action: string;
  readonly reason?: string; // why the session is over
  readonly isEnd: boolean; // the service says that it is over
  readonly retryAfter: number;
  readonly isTemporary: boolean; // the same request may succeed later

  constructor(readonly response: HttpResponse) {
    const problem = parsed(response.body) ?? {};
    super(problem.detail ?? `HTTP ${response.status}`);
    this.code = problem.code ?? "unknown";
    const isKnown = ACTIONS.includes(problem.client_action);
    this.action = isKnown ? problem.client_action : response.status === 401 ? "refresh" : "retry";
    this.reason = problem.reason;
    this.isEnd = problem.session_alive === false;
    this.retryAfter = Number(problem.retry_after ?? response.headers["retry-after"]) || 0;
    this.isTemporary = ["retry", "retry_after"].includes(this.action);
  }
}

export class TicketgateClient {
  #nonce?: string;
  #refreshAt = Infinity; // after a restart, a 401 says that it is time
  #refreshing?: Promise<string>;

  constructor(private readonly options: Options) {}

  /** What the WeChat SDK gets, unchanged: `user_name`, `path`, `mini_program_type`. */
  async launchRequest(platform: "ios" | "android" | "harmony") {
    const url = `${this.options.baseUrl}/v1/launch?platform=${platform}`;
    return this.#attempt({ method: "GET", url, headers: {} }, ({ body }) => JSON.parse(body));
  }

  async isSignedIn(): Promise<boolean> {
    return (await this.#read()).tokens !== undefined;
  }

  /** Signs in with the `extMsg` that WeChat returned, and gives the user. */
  async signIn(extMsg: string): Promise<User> {
    const login = { ext_msg: extMsg, key: crypto.randomUUID() };
    await this.#exclusively((state) => this.#write({ ...state, login }));
    return (await this.resume())!;
  }

  /** Finishes a login or a log-out that was interrupted. Call it at each start and for "try again". */
  async resume(): Promise<User | null> {
    await this.#exclusively((state) => this.#reportLogOut(state));
    return this.#exclusively(async (state) => {
      if (!state.login) return null;
      const body = { ext_msg: state.login.ext_msg, device: this.options.device };
      try {
        return (await this.#tokens("/v1/sessions", body, state.login.key)).user;
      } catch (error) {
        if (error instanceof TicketgateError && !error.isTemporary) await this.#write({ ...state, login: undefined });
        throw error;
      }
    });
  }

  /** The access token, after a refresh if it is time for one. */
  async accessToken(): Promise<string> {
    const { tokens } = await this.#read();
    if (!tokens) throw new TicketgateError(SIGNED_OUT);
    if (Date.now() < this.#refreshAt) return tokens.access_token;
    return this.refresh(tokens.access_token).catch((error: TicketgateError) => {
      if (!error.isTemporary) throw error;
      this.#refreshAt = Date.now() + 60_000;
      return tokens.access_token; // is good for some minutes yet
    });
  }

  /** An access token other than `rejected`. All callers share one refresh. */
  refresh(rejected: string): Promise<string> {
    return (this.#refreshing ??= this.#exclusively((state) => this.#refresh(rejected, state)).finally(() => {
      this.#refreshing = undefined;
    }));
  }

  /** Sends a request with the access token: to a path of the service, or to a URL of your own API. */
  async call(method: string, target: string, body?: object): Promise<HttpResponse> {
    const url = target.startsWith("/") ? this.options.baseUrl + target : target;
    const send = (token: string) => {
      const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
      const attempts = ["POST", "PATCH"].includes(method) ? 1 : ATTEMPTS;
      const request = { method, url, headers, body: body && JSON.stringify(body) };
      return this.#attempt(request, (response) => response, attempts);
    };
    const token = await this.accessToken();
    return send(token).catch(async (error: TicketgateError) => {
      if (error.action === "refresh") return send(await this.refresh(token));
      if (error.isEnd && target.startsWith("/")) await this.#exclusively((state) => this.#end(state, token));
      throw error;
    });
  }

  /** Signs out: here at once, at the service as soon as it can be reached. */
  async logOut(): Promise<void> {
    await this.#exclusively(({ tokens, ended }) => this.#write({ ended: tokens ?? ended }));
    await this.resume();
  }

  async #refresh(rejected: string, state: State): Promise<string> {
    if (!state.tokens) throw new TicketgateError(SIGNED_OUT);
    if (state.tokens.access_token !== rejected) return state.tokens.access_token; // another process did it
    try {
      const body = { refresh_token: state.tokens.refresh_token };
      return (await this.#tokens("/v1/sessions/refresh", body, state.key!)).access_token;
    } catch (error) {
      if ((error as TicketgateError).isEnd) await this.#end(state, rejected);
      throw error;
    }
  }

  /** Gets tokens. Stores them with the key of their refresh before anything uses them. */
  async #tokens(path: string, body: object, key: string): Promise<Tokens> {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    const request = { method: "POST", url: this.options.baseUrl + path, headers, body: JSON.stringify(body) };
    const tokens = await this.#attempt(request, tokensOf, ATTEMPTS, this.options.deviceKey);
    const { ended } = await this.#read();
    await this.#write({ ended, tokens, key: crypto.randomUUID() });
    this.#refreshAt = Date.now() + tokens.refresh_after * 1000;
    return tokens;
  }

  /** Ends a session at the service; by its refresh token if its access token has expired. */
  async #reportLogOut({ ended, ...rest }: State): Promise<void> {
    if (!ended) return;
    const url = `${this.options.baseUrl}/v1/sessions/current`;
    const bearer = { Authorization: `Bearer ${ended.access_token}` };
    let error = await this.#failure({ method: "DELETE", url, headers: bearer });
    if (error?.action === "refresh") {
      const form = { "Content-Type": "application/x-www-form-urlencoded" };
      const revoke = { method: "POST", url: `${this.options.baseUrl}/oauth2/revoke`, headers: form };
      error = await this.#failure({ ...revoke, body: `token=${ended.refresh_token}` });
    }
    if (!error?.isTemporary) await this.#write(rest);
  }

  #failure(request: HttpRequest): Promise<TicketgateError | undefined> {
    return this.#attempt(request, () => undefined).catch((error: TicketgateError) => error);
  }

  async #end({ tokens, ...rest }: State, token: string): Promise<void> {
    if (tokens?.access_token === token) await this.#write(rest);
  }

  /** Repeats the request, with a new proof each time. An exception of `read` is a lost response. */
  async #attempt<T>(request: HttpRequest, read: (r: HttpResponse) => T, attempts = ATTEMPTS, deviceKey?: DeviceKey) {
    for (let attempt = 1, proofs = 1; ; ) {
      if (deviceKey) request.headers["DPoP"] = await this.#proof(deviceKey, request);
      const response = await this.options.transport(request, SECONDS).catch(() => NO_RESPONSE);
      this.#nonce = response.headers["dpop-nonce"] ?? this.#nonce;
      if (response.status >= 200 && response.status < 300) {
        try { return read(response); } catch {} // the page of a proxy
      }
      const error = new TicketgateError(response);
      if (error.code === "proof_invalid" && proofs++ < ATTEMPTS) continue; // at once, with the new nonce
      if (!error.isTemporary || attempt >= attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause(error, attempt++)));
    }
  }

  /** RFC 9449 section 4.2. The service looks at the nonce, so the clock of the phone may be wrong. */
  async #proof(deviceKey: DeviceKey, request: HttpRequest): Promise<string> {
    const key = await deviceKey.publicKey();
    const jwk = { kty: "EC", crv: "P-256", x: base64url(key.slice(0, 32)), y: base64url(key.slice(32)) };
    const header = { typ: "dpop+jwt", alg: "ES256", jwk };
    const claims = { jti: crypto.randomUUID(), iat: Math.floor(Date.now() / 1000), nonce: this.#nonce };
    const parts = [header, { ...claims, htm: request.method, htu: request.url }];
    const signed = parts.map((part) => base64url(new TextEncoder().encode(JSON.stringify(part)))).join(".");
    return `${signed}.${base64url(await deviceKey.sign(new TextEncoder().encode(signed)))}`;
  }

  #exclusively<T>(work: (state: State) => Promise<T>): Promise<T> {
    return this.options.store.exclusively(async () => work(await this.#read()));
  }

  async #read(): Promise<State> {
    return parsed((await this.options.store.read()) ?? "") ?? {};
  }

  #write(state: State): Promise<void> {
    return this.options.store.write(JSON.stringify(state));
  }
}

/** Milliseconds: 1, 2, 4 s, each ± 50 %; or what the service asks for and up to 50 % more. */
function pause({ retryAfter }: TicketgateError, attempt: number): number {
  return 1000 * (retryAfter ? retryAfter * (1 + Math.random() / 2) : 2 ** (attempt - 1) * (0.5 + Math.random()));
}

function tokensOf({ body }: HttpResponse): Tokens {
  const tokens: Tokens = JSON.parse(body);
  if (tokens.access_token && tokens.refresh_token) return tokens;
  throw new SyntaxError("no tokens");
}

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function base64url(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Requests to servers of published weights: redirects, the token, silence, refusals, and when to try again. */

import { InputError, NetworkError } from "../../core/errors.ts";

/** How servers are reached. */
export interface Connection {
  /** The Hugging Face endpoint, without a slash at its end. */
  readonly endpoint: string;
  /** For private and gated repositories; only the endpoint itself ever gets it. */
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** Browsers follow redirects by themselves and show none of them; elsewhere they are followed here, so that what the endpoint says on the way is seen. */
  readonly redirects: "by hand" | "by the browser";
  /** Whether the browser may keep answers. Default: no, as what is wanted goes to a store of its own. */
  readonly cache?: RequestCache;
  /** Silence after which a connection counts as broken. Default: 30. */
  readonly stallSeconds?: number;
  /** Waits before the next attempts, as long as nothing arrives. */
  readonly retrySeconds?: readonly number[];
}

const STALL_SECONDS = 30;
const RETRY_SECONDS = [1, 2, 4, 8, 16];
const MOST_REDIRECTS = 10;
const LONGEST_WAIT_SECONDS = 120; // that a server may ask for
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const SHA256 = /^[0-9a-f]{64}$/;

/** A failure that may be over at the next attempt. */
export class PassingFailure extends Error {
  /** Nothing was reached at all. */
  readonly unreachable: boolean;
  /** Seconds, where the server asks for a wait. */
  readonly wait: number | undefined;

  constructor(why: string, more: { readonly unreachable?: boolean; readonly wait?: number; readonly cause?: unknown } = {}) {
    super(why, { cause: more.cause });
    this.unreachable = more.unreachable ?? false;
    this.wait = more.wait;
  }
}

/** An address as messages show it: what follows a question mark may be a key. */
export function shownAddress(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

/** A server's answer: a status, headers, and a body that is read once, or cancelled. */
export class Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The size and hash of a large file, as the endpoint itself told them. */
  readonly linked: { readonly size?: number; readonly sha256?: string };
  private readonly response: Response;
  private readonly stall: Stall;

  constructor(response: Response, linked: Answer["linked"], stall: Stall) {
    this.status = response.status;
    this.headers = response.headers;
    this.linked = linked;
    this.response = response;
    this.stall = stall;
  }

  /** The body, piece by piece. @throws PassingFailure if the connection breaks or nothing comes. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const reader = this.response.body?.getReader();
    try {
      while (reader !== undefined) {
        const { done, value } = await this.stall.watch(() => reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      this.cancel();
    }
  }

  /** A short body. @throws InputError if it is longer than `most` bytes. */
  async text(most: number): Promise<string> {
    const decoder = new TextDecoder();
    let length = 0;
    let text = "";
    for await (const chunk of this.chunks()) {
      length += chunk.length;
      if (length > most) throw new InputError(`${shownAddress(this.response.url)}: the answer must have at most ${most} bytes; got more`, "check the endpoint's address");
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  }

  /** Ends the connection; the rest of the body is not wanted. */
  cancel(): void {
    this.stall.end();
  }
}

/** Ends a request where nothing comes for too long. The user's own signal ends it at once. */
class Stall {
  private readonly controller = new AbortController();
  private readonly connection: Connection;
  private readonly url: string;
  readonly signal: AbortSignal;

  constructor(connection: Connection, url: string) {
    this.connection = connection;
    this.url = url;
    this.signal = AbortSignal.any([this.controller.signal, ...(connection.signal === undefined ? [] : [connection.signal])]);
  }

  /** Waits for a step of the request. Only this time counts: a slow disk is no silence of the server. */
  async watch<T>(step: () => Promise<T>): Promise<T> {
    const seconds = this.connection.stallSeconds ?? STALL_SECONDS;
    const timer = setTimeout(() => this.controller.abort(new PassingFailure(`nothing came for ${seconds} s`)), seconds * 1000);
    try {
      return await step();
    } catch (error) {
      this.connection.signal?.throwIfAborted();
      if (this.signal.reason instanceof PassingFailure) throw this.signal.reason;
      throw failureOf(error, this.url);
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.controller.abort();
  }
}

/** Why a request failed, in words. `fetch` hides the reason in a chain of causes. */
function failureOf(error: unknown, url: string): PassingFailure {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  const { code = "", message } = innermost as { readonly code?: string; readonly message: string };
  const { host } = new URL(url);
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new PassingFailure(`the name ${host} was not found`, { unreachable: true, cause: error });
    case "ECONNREFUSED":
      return new PassingFailure(`${host} refused the connection`, { unreachable: true, cause: error });
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return new PassingFailure(`${host} was not reached`, { unreachable: true, cause: error });
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
      return new PassingFailure("the connection broke", { cause: error });
    default: // a browser tells no reason, but knows whether there is a network
      return new PassingFailure(`the connection failed: ${message}`, { unreachable: globalThis.navigator?.onLine === false, cause: error });
  }
}

/**
 * Asks for an address, and follows redirects.
 * @returns Any answer that is neither a redirect nor a passing failure; 401, 404 and their like are the caller's to explain.
 * @throws PassingFailure if another attempt may help.
 * @throws InputError if redirects lead nowhere.
 */
export async function request(connection: Connection, address: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const byHand = connection.redirects === "by hand";
  const endpoint = new URL(connection.endpoint).origin;
  const linked: { size?: number; sha256?: string } = {};
  const seen = new Set<string>();
  for (let url = address; ; ) {
    const { origin, protocol } = new URL(url);
    const stall = new Stall(connection, url);
    const isEndpoint = origin === endpoint;
    const authorization = connection.token !== undefined && isEndpoint ? { authorization: `Bearer ${connection.token}` } : undefined;
    const response = await stall.watch(() => fetch(url, { headers: { ...headers, ...authorization }, redirect: byHand ? "manual" : "follow", signal: stall.signal, cache: connection.cache ?? "no-store" }));
    const answer = new Answer(response, linked, stall);
    if (isEndpoint && byHand) Object.assign(linked, linkedOf(response.headers));
    if (PASSING.has(response.status)) {
      answer.cancel();
      throw new PassingFailure(`${new URL(url).host} answered ${response.status}`, { wait: waitOf(response.headers) });
    }
    if (!REDIRECTS.has(response.status)) return answer;
    answer.cancel();
    const target = response.headers.get("location") ?? "";
    const leads = URL.canParse(target, url) ? new URL(target, url) : null;
    const refuse = (why: string): InputError => new InputError(`${shownAddress(address)}: redirects must lead to a file; got ${why}`, "check the endpoint's address, or try later");
    if (leads === null || !/^https?:$/.test(leads.protocol)) throw refuse(`one to ${JSON.stringify(target.slice(0, 100))}`);
    if (protocol === "https:" && leads.protocol !== "https:") throw refuse(`one from https to ${leads.protocol.slice(0, -1)}`);
    seen.add(url);
    url = leads.href;
    if (seen.has(url)) throw refuse("a loop");
    if (seen.size > MOST_REDIRECTS) throw refuse(`more than ${MOST_REDIRECTS}`);
  }
}

/** What the endpoint tells of a large file that lies elsewhere: for those the ETag is the SHA-256. */
function linkedOf(headers: Headers): { size?: number; sha256?: string } {
  const sha256 = plainTag(headers.get("x-linked-etag") ?? headers.get("etag"));
  const size = Number(headers.get("x-linked-size") ?? Number.NaN);
  return { ...(sha256 !== undefined && SHA256.test(sha256) && { sha256 }), ...(Number.isSafeInteger(size) && size >= 0 && { size }) };
}

/** An ETag without its quotation marks and its mark of weakness. */
export function plainTag(etag: string | null): string | undefined {
  return etag?.trim().replace(/^W\//, "").replaceAll('"', "") || undefined;
}

/** Seconds that a server asks to wait: a number, or a date. */
function waitOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const seconds = /^\d+$/.test(text.trim()) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

/** Counts failures, and waits longer after each. */
export class Retries {
  private readonly connection: Connection;
  private readonly address: string;
  private failures = 0;
  private reached = false;

  constructor(connection: Connection, address: string) {
    this.connection = connection;
    this.address = address;
  }

  /** Something arrived: the count begins again. */
  advance(): void {
    this.failures = 0;
    this.reached = true;
  }

  /**
   * Waits before the next attempt.
   * @throws NetworkError if there have been enough. Where nothing was ever reached, one more attempt is enough: there is no network.
   */
  async wait({ message, unreachable, wait, cause }: PassingFailure): Promise<void> {
    const { retrySeconds = RETRY_SECONDS, signal } = this.connection;
    const most = unreachable && !this.reached ? Math.min(1, retrySeconds.length) : retrySeconds.length;
    const tooLong = wait !== undefined && wait > LONGEST_WAIT_SECONDS;
    if (this.failures >= most || tooLong) {
      const times = this.failures === 0 ? "" : `, ${this.failures + 1} times in a row`;
      const hint = tooLong ? `the server asks to wait ${Math.ceil(wait)} s` : "check the network and try again";
      throw new NetworkError(`${shownAddress(this.address)}: ${message}${times}`, `${hint}; what has arrived is kept`, { cause });
    }
    await pause(wait ?? retrySeconds[this.failures], signal);
    this.failures++;
  }
}

/** @throws What the signal was aborted with. */
function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Sends a request again and again until it is answered. @throws NetworkError after the last attempt. */
export async function persist<T>(connection: Connection, address: string, attempt: () => Promise<T>): Promise<T> {
  const retries = new Retries(connection, address);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      await retries.wait(error);
    }
  }
}

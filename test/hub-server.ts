import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How a server answers one request for a file, instead of as it should. */
export type Misdeed = (response: ServerResponse, bytes: Uint8Array, request: IncomingMessage) => void;

interface Served {
  bytes: Uint8Array;
  etag: string;
  readonly type: string;
  /** Answered first, one a request. */
  readonly misdeeds: Misdeed[];
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that look like weights: no two places alike. */
export function weights(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24);
}

/** A server on this machine that serves files with ranges and ETags as it should, and misbehaves when told to. */
export class HubServer {
  readonly origin: string;
  /** What was asked, in order. */
  readonly requests: { readonly path: string; readonly headers: IncomingMessage["headers"] }[] = [];
  private readonly files = new Map<string, Served>();
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<HubServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const hub = new HubServer(server);
    server.on("request", (request, response) => hub.answer(request, response));
    return hub;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Serves bytes at a path. */
  put(path: string, bytes: Uint8Array | string, type = "application/octet-stream"): void {
    const content = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    this.files.set(path, { bytes: content, etag: sha256Of(content).slice(0, 16), type, misdeeds: [] });
  }

  /** The next requests for a path are answered so, one each. */
  next(path: string, ...misdeeds: Misdeed[]): void {
    this.files.get(path)!.misdeeds.push(...misdeeds);
  }

  /** Forgets what was asked. */
  forget(): void {
    this.requests.length = 0;
  }

  /** The Range headers of the requests for a path. */
  rangesOf(path: string): (string | undefined)[] {
    return this.requests.filter((request) => request.path === path).map(({ headers }) => headers.range);
  }

  /**
   * A repository with an API; where a second server is given, it holds the files and this one redirects to it, as for large files.
   * @returns Each file's path on the server that holds it.
   */
  putRepo(id: string, files: Readonly<Record<string, Uint8Array | string>>, { revision = "main", commit = "c".repeat(40), storage }: { revision?: string; commit?: string; storage?: HubServer } = {}): string[] {
    const contents = Object.entries(files).map(([path, content]) => ({ path, bytes: typeof content === "string" ? new TextEncoder().encode(content) : content }));
    const siblings = contents.map(({ path, bytes }) => ({ rfilename: path, size: bytes.length, blobId: sha256Of(bytes).slice(0, 40), lfs: storage === undefined ? undefined : { sha256: sha256Of(bytes), size: bytes.length, pointerSize: 134 } }));
    this.put(`/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`, JSON.stringify({ id, sha: commit, siblings }), "application/json");
    return contents.flatMap(({ path, bytes }) =>
      [revision, commit].map((state) => {
        const address = `/${id}/resolve/${encodeURIComponent(state)}/${path}`;
        this.put(address, bytes);
        if (storage === undefined) return address;
        const blob = `/blobs/${sha256Of(bytes)}`;
        storage.put(blob, bytes);
        const linked = { "x-linked-etag": `"${sha256Of(bytes)}"`, "x-linked-size": String(bytes.length), "x-repo-commit": commit };
        this.next(address, ...Array.from({ length: 50 }, () => redirects(`${storage.origin}${blob}?key=secret`, linked)));
        return blob;
      }),
    );
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "/";
    this.requests.push({ path, headers: request.headers });
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", "etag, content-range");
    const file = this.files.get(path) ?? this.files.get(path.replace(/\?.*$/, ""));
    if (file === undefined) {
      response.writeHead(404, { "content-type": "text/plain" }).end("Not found");
      return;
    }
    const misdeed = file.misdeeds.shift();
    if (misdeed === undefined) this.serve(file, request, response);
    else misdeed(response, file.bytes, request);
  }

  private serve({ bytes, etag, type }: Served, { headers }: IncomingMessage, response: ServerResponse): void {
    const first = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
    const isSame = headers["if-range"] === undefined || headers["if-range"] === `"${etag}"`;
    const common = { "content-type": type, etag: `"${etag}"`, "accept-ranges": "bytes" };
    if (first === null || !isSame) {
      response.writeHead(200, { ...common, "content-length": bytes.length }).end(bytes);
      return;
    }
    const begin = Number(first[1]);
    const end = first[2] === "" ? bytes.length : Math.min(bytes.length, Number(first[2]) + 1);
    if (begin >= bytes.length) response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    else response.writeHead(206, { ...common, "content-length": end - begin, "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` }).end(bytes.subarray(begin, end));
  }
}

const beginOf = ({ headers }: IncomingMessage): number => Number(/^bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);

/** The right headers, then some of the bytes. */
function partly(response: ServerResponse, bytes: Uint8Array, request: IncomingMessage, count: number, mark: Readonly<Record<string, string>>, then: () => unknown): void {
  const begin = beginOf(request);
  response.writeHead(206, { ...mark, "content-length": bytes.length - begin, "content-range": `bytes ${begin}-${bytes.length - 1}/${bytes.length}` });
  response.write(bytes.subarray(begin, begin + count), then);
}

const etagOf = (bytes: Uint8Array): { readonly etag: string } => ({ etag: `"${sha256Of(bytes).slice(0, 16)}"` });

const BREATH = 150; // ms; `fetch` drops what has arrived but was not read yet when a connection ends, and two busy cores may take their time

/** Ends the connection after some bytes. */
export const breaks = (count: number, mark?: Readonly<Record<string, string>>): Misdeed => (response, bytes, request) =>
  partly(response, bytes, request, count, mark ?? etagOf(bytes), () => setTimeout(() => response.socket?.end(), BREATH));

/** Sends some bytes, then nothing more. */
export const stalls = (count: number): Misdeed => (response, bytes, request) => partly(response, bytes, request, count, etagOf(bytes), () => undefined);

/** Sends the whole file, whatever was asked for. */
export const ignoresRange: Misdeed = (response, bytes) => void response.writeHead(200, { ...etagOf(bytes), "content-length": bytes.length }).end(bytes);

/** Sends other bytes than it was asked for. */
export const wrongRange = (begin: number): Misdeed => (response, bytes) =>
  void response.writeHead(206, { "content-range": `bytes ${begin}-${bytes.length - 1}/${bytes.length}`, "content-length": bytes.length - begin }).end(bytes.subarray(begin));

/** Promises a length, and sends whatever it sends. */
export const sends = (promised: number, sent: Uint8Array): Misdeed => (response) => {
  response.writeHead(206, { "content-range": `bytes 0-${promised - 1}/${promised}` });
  response.end(sent);
};

export const redirects = (location: string, headers: Readonly<Record<string, string>> = {}): Misdeed => (response) => void response.writeHead(302, { location, ...headers }).end();

export const answers = (status: number, headers: Readonly<Record<string, string>> = {}, body = ""): Misdeed => (response) => void response.writeHead(status, headers).end(body);

/** One file's download: begun or continued, checked while it comes, whole and right at the end. */

import { CheckpointError, InputError } from "../../core/errors.ts";
import type { Hasher } from "../../core/sha256.ts";
import { refusal } from "./listing.ts";
import type { HubFile, Target } from "./names.ts";
import { PassingFailure, plainTag, request, Retries, shownAddress, type Answer, type Connection } from "./request.ts";

/** What the bytes of an unfinished download belong to. */
export interface Origin {
  /** The server's mark of this state of the file: its ETag, else the date of the last change. */
  readonly etag?: string;
  readonly sha256?: string;
}

/** An unfinished download. Nobody else has it while it is open. */
export interface PartFile {
  /** Bytes that are there. */
  readonly length: number;
  readonly origin: Origin;
  /** Throws away what is there. */
  restart(origin: Origin): Promise<void>;
  append(bytes: Uint8Array): Promise<void>;
  /** What is there, piece by piece. */
  content(): AsyncIterable<Uint8Array>;
}

/** A complete file, as its server and its bytes describe it. */
export interface Received {
  readonly size: number;
  readonly sha256: string;
  readonly version?: string;
}

/** What a download needs beside the file. */
export interface DownloadOptions {
  readonly connection: Connection;
  readonly hasher: () => Hasher;
  /** Whose file it is, for messages. */
  readonly target: Pick<Target, "name" | "repo">;
  /** Told after each piece: bytes that are there, and in all, where that is known. */
  readonly onBytes: (length: number, total: number | undefined) => void;
}

const MOST_BYTES = 2 ** 40; // of any file
const MOST_UNANNOUNCED_BYTES = 2 ** 30; // of a file whose length nobody tells
const ADVANCE_BYTES = 2 ** 16; // less than this does not count as an attempt that helped
const MOST_RESTARTS = 3;
const CHECK_AGAIN = "the server may have replaced the file; try again, or choose another revision";

/** Beginnings of what is sent in place of a file: pages of proxies and logins, and the pointers of git-lfs. */
const NOT_A_FILE: readonly (readonly [RegExp, string])[] = [
  [/^\s*<(?:!doctype html|html)/i, "a web page"],
  [/^version https:\/\/git-lfs/, "a git-lfs pointer"],
];

/** What an answer says about the file. */
interface Offer extends Origin {
  /** Where its bytes begin. */
  readonly start: number;
  readonly total?: number;
}

/**
 * Downloads a file into a part, and continues what the part holds.
 *
 * @throws NetworkError if the connection keeps breaking; the part keeps what came.
 * @throws CheckpointError if the bytes are not those of the file; the part is empty then.
 * @throws InputError if the server refuses.
 */
export async function download(file: HubFile, part: PartFile, options: DownloadOptions): Promise<Received> {
  return new Download(file, part, options).run();
}

class Download {
  private readonly file: HubFile;
  private readonly part: PartFile;
  private readonly options: DownloadOptions;
  private readonly retries: Retries;
  private hasher: Hasher;
  private continued = false; // whether some of the bytes are of an earlier request
  private again = false; // whether all came once already, and was wrong
  private restarts = 0;

  constructor(file: HubFile, part: PartFile, options: DownloadOptions) {
    this.file = file;
    this.part = part;
    this.options = options;
    this.retries = new Retries(options.connection, file.url);
    this.hasher = options.hasher();
  }

  async run(): Promise<Received> {
    const { part } = this;
    for await (const bytes of part.content()) this.hasher.update(bytes);
    for (;;) {
      const before = part.length;
      try {
        if (!(await this.attempt())) continue;
        const received = await this.check();
        if (received !== null) return received;
      } catch (error) {
        if (!(error instanceof PassingFailure)) throw error;
        if (part.length - before >= ADVANCE_BYTES) this.retries.advance();
        await this.retries.wait(error);
      }
    }
  }

  /** Whether what the part holds can be the beginning of this file, and there is something to tell by. */
  private isOurs(): boolean {
    const { etag, sha256 } = this.part.origin;
    const tooLong = this.file.size !== undefined && this.part.length > this.file.size;
    const another = sha256 !== undefined && this.file.sha256 !== undefined && sha256 !== this.file.sha256;
    return !tooLong && !another && (etag !== undefined || sha256 !== undefined);
  }

  /** One request. Whether all bytes are there after it; if not, there is another to make at once. */
  private async attempt(): Promise<boolean> {
    const { file, part, options } = this;
    if (part.length > 0 && !this.isOurs()) await this.beginAnew();
    const begin = part.length;
    const { etag } = part.origin;
    this.continued ||= begin > 0;
    // Always a range, even a whole one: then the answer is never compressed on the way, and tells the file's length. Browsers would ask
    // storage servers for leave to send If-Range, which those do not give; there the ETag of the answer has to do.
    const condition = begin > 0 && options.connection.redirects === "by hand" ? etag : undefined;
    const answer = await request(options.connection, file.url, { range: `bytes=${begin}-`, ...(condition !== undefined && { "if-range": condition.endsWith(" GMT") ? condition : `"${condition}"` }) });
    try {
      if (answer.status === 416) return await this.pastTheEnd(answer);
      if (answer.status !== 200 && answer.status !== 206) throw refusal(answer, options.target, options.connection, file.path);
      const offer = this.offerOf(answer);
      const changed = begin > 0 && etag !== undefined && offer.etag !== undefined && offer.etag !== etag;
      if (begin === 0 && offer.start !== 0) throw new InputError(`${this.named()}: the server must send the bytes from 0 on; it sends those from ${offer.start}`, "try later");
      if (changed || (offer.start !== begin && offer.start !== 0)) await this.restart();
      else if (offer.start !== begin) await this.beginAnew(); // a server that knows no ranges
      if (offer.start !== part.length) return false; // these bytes are of the middle; ask again
      if (part.length === 0) await part.restart(offer);
      await this.take(answer, offer.total);
    } finally {
      answer.cancel();
    }
    return true;
  }

  /** The server has no bytes where the next ones should be: the file is complete, or another one by now. */
  private async pastTheEnd(answer: Answer): Promise<boolean> {
    const total = /^bytes \*\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1];
    if (this.part.length === (total === undefined ? this.file.size : Number(total))) return true;
    if (this.part.length === 0) throw new InputError(`${this.named()}: the server must send the file; it has no bytes of it (416)`, CHECK_AGAIN);
    await this.restart();
    return false;
  }

  private offerOf({ status, headers, linked }: Answer): Offer {
    const { file } = this;
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
    if (status === 206 && first === undefined) throw new InputError(`${this.named()}: a partial answer must say which bytes it holds; got Content-Range ${JSON.stringify(headers.get("content-range"))}`, "check the endpoint's address, or try later");
    const encoded = (headers.get("content-encoding") ?? "identity") !== "identity"; // then the length is that of the compressed bytes
    const length = status === 206 ? total : encoded ? null : headers.get("content-length");
    const announced = length === null || length === "*" ? undefined : Number(length);
    const expected = file.size ?? linked.size;
    if (expected !== undefined && announced !== undefined && expected !== announced) {
      throw new CheckpointError(`${this.named()}: must have ${expected} bytes; the server has ${announced}`, CHECK_AGAIN);
    }
    if (file.sha256 !== undefined && linked.sha256 !== undefined && file.sha256 !== linked.sha256) {
      throw new CheckpointError(`${this.named()}: must have the sha256 ${file.sha256}; the server has ${linked.sha256}`, CHECK_AGAIN);
    }
    if ((headers.get("content-type") ?? "").startsWith("text/html") && !/\.html?$/.test(file.path)) throw this.noFile("a web page");
    const size = expected ?? announced;
    if (size !== undefined && size > MOST_BYTES) throw new InputError(`${this.named()}: must have at most ${MOST_BYTES} bytes; the server promises ${size}`, "check the endpoint's address");
    return { start: status === 206 ? Number(first) : 0, total: size, etag: plainTag(headers.get("etag")) ?? headers.get("last-modified") ?? undefined, sha256: file.sha256 ?? linked.sha256 };
  }

  /** Takes the body into the part. @throws PassingFailure if it ends early. */
  private async take(answer: Answer, total: number | undefined): Promise<void> {
    const { part, options } = this;
    const most = total ?? MOST_UNANNOUNCED_BYTES;
    for await (const chunk of answer.chunks()) {
      if (part.length === 0) this.sniff(chunk);
      if (part.length + chunk.length > most) {
        await part.restart({});
        throw new CheckpointError(`${this.named()}: must have ${total ?? `at most ${most}`} bytes; the server sends more`, "nothing was kept; check the endpoint's address, or try later");
      }
      await part.append(chunk);
      this.hasher.update(chunk);
      options.onBytes(part.length, total);
    }
    if (total !== undefined && part.length < total) throw new PassingFailure(`the connection ended after ${part.length} of ${total} bytes`);
  }

  private sniff(chunk: Uint8Array): void {
    const text = new TextDecoder("latin1").decode(chunk.subarray(0, 64));
    const other = NOT_A_FILE.find(([form]) => form.test(text));
    if (other !== undefined && !/\.html?$/.test(this.file.path)) throw this.noFile(other[1]);
  }

  private noFile(what: string): CheckpointError {
    return new CheckpointError(`${this.named()}: the server must send the file; got ${what}`, "a proxy or a login page may stand between, or the endpoint's address is wrong");
  }

  /** Compares what came with what must come; null where a new beginning may help. */
  private async check(): Promise<Received | null> {
    const { file, part } = this;
    const sha256 = this.hasher.digest();
    const { etag } = part.origin;
    const wanted = file.sha256 ?? part.origin.sha256;
    const right = wanted === undefined ? sha256.startsWith(file.sha256Prefix ?? "") : sha256 === wanted;
    const { length } = part;
    if (right && (file.size === undefined || file.size === length)) return { size: length, sha256, version: file.version ?? etag };
    const again = this.continued && !this.again;
    await this.beginAnew();
    this.again ||= again;
    // Parts of two states of a file, or a part that was damaged on the disk: once more from the beginning.
    if (again) return null;
    const expected = right ? `${file.size} bytes` : `the sha256 ${wanted ?? `${file.sha256Prefix}…`}`;
    throw new CheckpointError(`${this.named()}: must have ${expected}; got ${right ? `${length} bytes` : sha256}`, `nothing was kept; ${CHECK_AGAIN}`);
  }

  /** The server has another file by now. */
  private async restart(): Promise<void> {
    this.restarts++;
    if (this.restarts > MOST_RESTARTS) throw new CheckpointError(`${this.named()}: the server must send the same file at each request; it changed ${this.restarts} times`, "try later");
    await this.beginAnew();
  }

  private async beginAnew(): Promise<void> {
    this.continued = false;
    this.hasher = this.options.hasher();
    await this.part.restart({});
  }

  private named(): string {
    return shownAddress(this.file.url);
  }
}

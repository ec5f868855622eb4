import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { BrowserStore } from "../src/checkpoint/hub/browser.ts";
import { cacheFolder, FileStore, hubOptions, resolveModel } from "../src/checkpoint/hub/files.ts";
import { findTarget, parseEndpoint, safePath } from "../src/checkpoint/hub/names.ts";
import { pull, type PullOptions, type PullProgress } from "../src/checkpoint/hub/pull.ts";
import { nearNames, PUBLISHED, type PublishedModel } from "../src/checkpoint/hub/manifest.ts";
import { CheckpointError, InputError, NetworkError } from "../src/core/errors.ts";
import { Sha256 } from "../src/core/sha256.ts";
import { answers, breaks, HubServer, ignoresRange, redirects, sends, sha256Of, stalls, weights, wrongRange } from "./hub-server.ts";

const LENGTH = 300_000;
const BYTES = weights(LENGTH);
const COMMIT = "c".repeat(40);

let server: HubServer;
let storage: HubServer;
let folder: string;

beforeAll(async () => {
  [server, storage] = await Promise.all([HubServer.start(), HubServer.start()]);
});
afterAll(() => Promise.all([server.stop(), storage.stop()]));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sightline-hub-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  server.forget();
  storage.forget();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

/** A pull from the loopback server, without the waits of real life. */
function options(more: Partial<PullOptions> = {}, connection: Partial<PullOptions["connection"]> = {}): PullOptions {
  const base = hubOptions({ cache: folder, endpoint: server.origin });
  return { ...base, ...more, connection: { ...base.connection, retrySeconds: [0.01, 0.01, 0.01], stallSeconds: 10, ...connection } };
}

/** A model of one file with a known hash. */
function model(name: string, more: Partial<PublishedModel> = {}): PublishedModel {
  return { name, about: "", fits: [], licence: "MIT", url: `${server.origin}/models/`, files: [{ path: `${name}.pth`, size: LENGTH, sha256: sha256Of(BYTES) }], ...more };
}

/** Serves a model's only file, and pulls it after the misdeeds. */
function serve(name: string, ...misdeeds: Parameters<HubServer["next"]>[1][]): { path: string; models: PublishedModel[] } {
  const path = `/models/${name}.pth`;
  server.put(path, BYTES);
  server.next(path, ...misdeeds);
  return { path, models: [model(name)] };
}

const isWhole = (path: string): boolean => sha256Of(readFileSync(path)) === sha256Of(BYTES);

/** All that lies in the cache, hidden files too. */
const cached = (): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /part|\.pth|\.safetensors/.test(name)).toSorted();

async function errorOf(pulling: Promise<unknown>): Promise<Error> {
  const error: unknown = await pulling.then(() => new Error("nothing was refused"), (reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect((error as Error).message.split("\n")).toHaveLength(1);
  return error as Error;
}

describe("sha256", () => {
  test("equals Node's at every length around a block, in pieces of any size", () => {
    for (let length = 0; length < 200; length++) {
      const hasher = new Sha256();
      const cut = (length * 7) % (length + 1);
      hasher.update(BYTES.subarray(0, cut));
      hasher.update(BYTES.subarray(cut, length));
      expect(hasher.digest(), `${length} bytes`).toBe(sha256Of(BYTES.subarray(0, length)));
    }
    const whole = new Sha256();
    whole.update(BYTES);
    expect(whole.digest()).toBe(sha256Of(BYTES));
  });

  test("counts more than 2^32 bits", () => {
    const piece = new Uint8Array(2 ** 24);
    const hasher = new Sha256();
    const reference = createHash("sha256");
    for (let i = 0; i < 33; i++) {
      hasher.update(piece);
      reference.update(piece);
    }
    expect(hasher.digest()).toBe(reference.digest("hex"));
  });
});

describe("manifest", () => {
  const KEYS = ["name", "about", "fits", "licence", "repo", "revision", "url", "files"];

  test.each(PUBLISHED.map((published) => [published.name, published] as const))("%s is complete and well formed", (name, published) => {
    expect(Object.keys(published).filter((key) => !KEYS.includes(key))).toEqual([]);
    expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(published.about.length).toBeGreaterThan(10);
    expect(published.licence).toMatch(/^(MIT|Apache-2\.0|BSD-3-Clause)$/);
    expect(published.fits.length).toBeGreaterThan(0);
    for (const file of published.fits) expect(existsSync(`src/models/${file}.ts`), file).toBe(true);
    expect([published.repo, published.url].filter((source) => source !== undefined)).toHaveLength(1);
    if (published.url !== undefined) expect(published.url).toMatch(/^https:\/\/.+\/$/);
    if (published.repo !== undefined) expect(published.revision).toMatch(/^([0-9a-f]{40}|main)$/);
    for (const { path, size, sha256, ...rest } of published.files) {
      expect(Object.keys(rest)).toEqual([]);
      expect(safePath(path, name)).toBe(path);
      if (size !== undefined) expect(Number.isSafeInteger(size) && size > 0).toBe(true);
      if (sha256 !== undefined) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      const digits = /-([0-9a-f]{8})\.pth$/.exec(path)?.[1];
      if (digits !== undefined) expect(sha256?.slice(0, 8)).toBe(digits);
    }
  });

  test("has the models that the project is about, each name and file once", () => {
    const names = PUBLISHED.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(["resnet18", "resnet34", "resnet50", "resnet50-v2", "resnet101", "fasterrcnn-resnet50", "resnet50-timm", "vit-tiny", "vit-base", "vit-base-timm", "vit-base-in21k", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2", "vit-gpt2"]));
    for (const { files } of PUBLISHED) expect(new Set(files.map(({ path }) => path)).size).toBe(files.length);
  });

  test("near names are offered", () => {
    const names = PUBLISHED.map(({ name }) => name);
    expect(nearNames("resnt50", names)[0]).toBe("resnet50");
    expect(nearNames("GPT2", names)).toContain("gpt2");
    expect(nearNames("zzzzzzzzzzzz", names)).toEqual([]);
  });
});

describe("names", () => {
  const target = (name: string, more: object = {}): ReturnType<typeof findTarget> => findTarget(name, { endpoint: "https://hub.test", models: PUBLISHED, ...more });

  test.each([
    ["gpt2", "hf/openai-community/gpt2/607a30d783dfa663caf39e06633721c8d4cfcd7e", false],
    ["openai-community/gpt2", "hf/openai-community/gpt2/607a30d783dfa663caf39e06633721c8d4cfcd7e", false],
    ["openai-community/gpt2@main", "hf/openai-community/gpt2/main", true],
    ["org/repo", "hf/org/repo/main", true],
    [`org/repo@${COMMIT}`, `hf/org/repo/${COMMIT}`, false],
    ["resnet50", "download.pytorch.org/models", false],
  ])("%s lies in %s", (name, place, moving) => {
    expect(target(name)).toMatchObject({ place, moving });
  });

  test("addresses, keys and expectations of files", () => {
    expect(target("org/repo/sub dir/a.bin").files).toEqual([{ path: "sub dir/a.bin", url: "https://hub.test/org/repo/resolve/main/sub%20dir/a.bin", key: "hf/org/repo/main/sub dir/a.bin" }]);
    expect(target("org/repo", { revision: "refs/pr/8", files: ["a.bin"] }).files?.[0].key).toBe("hf/org/repo/refs%2Fpr%2F8/a.bin");
    expect(target("gpt2", { files: ["config.json"] }).files).toMatchObject([{ path: "config.json", size: 665 }]);
    expect(target("resnet50").files).toMatchObject([{ url: "https://download.pytorch.org/models/resnet50-0676ba61.pth", sha256Prefix: "0676ba61" }]);
  });

  test.each([
    ["resnet51", {}, /^"resnet51" must be a name of published weights, or org\/repo of the hub \(did you mean resnet50/],
    ["", {}, /must be a name/],
    ["../etc", {}, /must be a name/],
    ["a/b/../../c", {}, /a\/b\/..\/..\/c: a file's name must be a plain path below its folder; got "\.\.\/\.\.\/c"/],
    ["a..b/c", {}, /must be a name/],
    ["https://huggingface.co/gpt2", {}, /must be a name/],
    ["org/repo@..", {}, /a revision must be a branch, a tag or a commit; got ".."/],
    ["org/repo@main", { revision: "other" }, /names a revision already/],
    ["resnet50", { revision: "main" }, /no repository and has no revisions/],
    ["resnet50", { files: ["other.pth"] }, /--file other.pth: resnet50 has no such file \(it has resnet50-0676ba61.pth\)/],
    ["org/repo", { files: ["/etc/passwd"] }, /plain path/],
  ])("%j %j is refused", (name, more, message) => {
    expect(() => target(name, more)).toThrow(message);
  });

  test.each(["../x", "/x", "a/../b", "a//b", "", ".", ".hidden", "a\\b", "C:x", "a\0b", "a/", "x.", "x ", "a\nb", "\u202ex", "nul.bin", "a".repeat(200)])("the path %j is refused", (path) => {
    expect(() => safePath(path, "org/repo")).toThrow(InputError);
  });

  test("an endpoint is a web address", () => {
    expect(parseEndpoint("https://hub.test/")).toBe("https://hub.test");
    for (const bad of ["hub.test", "file:///etc", "https://user:word@hub.test", "https://hub.test?x=1", ""]) expect(() => parseEndpoint(bad)).toThrow(/must be a web address/);
  });
});

describe("download", () => {
  test("gets a file, keeps it, and asks for nothing the second time", async () => {
    const { models } = serve("plain");
    const progress: PullProgress[] = [];
    const [file] = await pull("plain", options({ models, onProgress: (now) => progress.push(now) }));
    expect(file).toMatchObject({ path: "plain.pth", size: LENGTH, sha256: sha256Of(BYTES), cached: false });
    expect(isWhole(file.location)).toBe(true);
    expect(progress.at(-1)).toMatchObject({ path: "plain.pth", file: 1, files: 1, received: LENGTH, total: LENGTH });
    server.forget();
    expect(await pull("plain", options({ models }))).toMatchObject([{ location: file.location, cached: true }]);
    expect(server.requests).toEqual([]);
    expect(cached().filter((name) => name.endsWith("part"))).toEqual([]);
  });

  test("--force gets it again", async () => {
    const { models } = serve("forced");
    await pull("forced", options({ models }));
    server.forget();
    expect(await pull("forced", options({ models, force: true }))).toMatchObject([{ cached: false }]);
    expect(server.rangesOf("/models/forced.pth")).toEqual(["bytes=0-"]);
  });

  test("goes on where a connection broke, again and again", async () => {
    const { path, models } = serve("breaking", breaks(100_000), breaks(100_000), breaks(90_000));
    const [file] = await pull("breaking", options({ models }));
    expect(isWhole(file.location)).toBe(true);
    const begins = server.rangesOf(path).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    expect(begins).toHaveLength(4);
    expect(begins).toEqual(begins.toSorted((a, b) => a - b));
    expect(new Set(begins).size).toBe(4);
  });

  test("goes on in another process' time, with If-Range", async () => {
    const { path, models } = serve("later", ...Array.from({ length: 4 }, () => breaks(10_000)));
    expect(await errorOf(pull("later", options({ models })))).toBeInstanceOf(NetworkError);
    const [{ size, complete }] = await new FileStore(folder).list();
    expect({ complete, some: size > 0 }).toEqual({ complete: false, some: true });
    server.forget();
    const [file] = await pull("later", options({ models }));
    expect(isWhole(file.location)).toBe(true);
    expect(server.requests.map(({ headers }) => [headers.range, headers["if-range"]])).toEqual([[`bytes=${size}-`, `"${sha256Of(BYTES).slice(0, 16)}"`]]);
    expect(server.rangesOf(path)).toHaveLength(1);
  });

  test("silence is a broken connection", async () => {
    const { models } = serve("silent", stalls(70_000), stalls(0));
    expect(isWhole((await pull("silent", options({ models }, { stallSeconds: 0.3 })))[0].location)).toBe(true);
  });

  test.each([
    ["ignores the range", [breaks(100_000), ignoresRange], 2],
    ["sends another range", [breaks(100_000), wrongRange(5)], 3],
    ["answers 416", [breaks(100_000), answers(416)], 3],
    ["answers 503, then 429 with Retry-After", [answers(503), answers(429, { "retry-after": "0" })], 3],
  ])("a server that %s", async (_, misdeeds, requests) => {
    const { path, models } = serve("strange", ...misdeeds);
    expect(isWhole((await pull("strange", options({ models })))[0].location)).toBe(true);
    expect(server.rangesOf(path)).toHaveLength(requests);
  });

  test.each(["heeds", "ignores"])("a file that changes between two requests is begun anew; the server %s If-Range", async (how) => {
    const other = weights(LENGTH, 2);
    const path = "/models/changing.pth";
    server.put(path, other);
    server.next(path, (response, _, request) => breaks(100_000)(response, BYTES, request));
    if (how === "ignores") server.next(path, breaks(LENGTH)); // the rest of the other file
    const [file] = await pull("changing", options({ models: [model("changing", { files: [{ path: "changing.pth" }] })] }));
    expect(file.sha256).toBe(sha256Of(other));
    expect(sha256Of(readFileSync(file.location))).toBe(sha256Of(other));
    expect(server.rangesOf(path).slice(1)).toEqual([expect.stringMatching(/^bytes=[1-9]/), ...(how === "heeds" ? [] : ["bytes=0-"])]);
  });

  test("a part that was damaged on the disk is begun anew", async () => {
    const { models } = serve("damaged", ...Array.from({ length: 4 }, () => breaks(10_000)));
    await errorOf(pull("damaged", options({ models })));
    const [part] = cached().filter((name) => name.endsWith("data"));
    const { length } = readFileSync(join(folder, part));
    writeFileSync(join(folder, part), weights(length, 9));
    const [file] = await pull("damaged", options({ models }));
    expect(isWhole(file.location)).toBe(true);
    expect(server.rangesOf("/models/damaged.pth").slice(-2)).toEqual([`bytes=${length}-`, "bytes=0-"]);
  });

  test.each([
    ["the date of its last change", { "last-modified": "Sat, 01 Feb 2025 10:00:00 GMT" }, [expect.stringMatching(/^bytes=[1-9]/)], "Sat, 01 Feb 2025 10:00:00 GMT"],
    ["nothing", {}, ["bytes=0-"], undefined],
  ])("a file that is marked by %s", async (_, headers, ranges, condition) => {
    const path = "/models/marked.pth";
    server.put(path, BYTES);
    const cut = breaks(100_000, headers);
    const rest = breaks(LENGTH, headers);
    server.next(path, cut, rest);
    const [file] = await pull("marked", options({ models: [model("marked", { files: [{ path: "marked.pth" }] })] }));
    expect(isWhole(file.location)).toBe(true);
    expect(server.rangesOf(path).slice(1)).toEqual(ranges);
    expect(server.requests[1].headers["if-range"]).toBe(condition);
  });

  test("an empty file", async () => {
    server.put("/models/empty.pth", "");
    const [file] = await pull("empty", options({ models: [model("empty", { files: [{ path: "empty.pth" }] })] }));
    expect(readFileSync(file.location)).toHaveLength(0);
  });

  test.each<[string, Parameters<HubServer["next"]>[1], typeof CheckpointError, RegExp]>([
    ["wrong bytes", sends(LENGTH, weights(LENGTH, 3)), CheckpointError, /must have the sha256 [0-9a-f]{64}; got [0-9a-f]{64} \(nothing was kept/],
    ["more than promised", sends(LENGTH, weights(LENGTH + 1)), CheckpointError, /must have 300000 bytes; the server sends more \(nothing was kept/],
    ["another length", sends(LENGTH - 1, BYTES), CheckpointError, /must have 300000 bytes; the server has 299999/],
    ["a web page", answers(200, { "content-type": "text/html; charset=utf-8" }, "<p>log in"), CheckpointError, /the server must send the file; got a web page \(a proxy/],
    ["a web page in disguise", answers(200, { "content-type": "application/octet-stream", "transfer-encoding": "chunked" }, "<!DOCTYPE html><html>"), CheckpointError, /got a web page/],
    ["a git-lfs pointer", answers(200, { "transfer-encoding": "chunked" }, "version https://git-lfs.github.com/spec/v1\noid sha256:0"), CheckpointError, /got a git-lfs pointer/],
    ["a partial answer without a range", answers(206, {}, "x"), InputError, /a partial answer must say which bytes it holds; got Content-Range null/],
    ["bytes of the middle", wrongRange(7), InputError, /must send the bytes from 0 on; it sends those from 7/],
    ["404", answers(404), InputError, /refused: refused.pth: the server has nothing of that name \(404\)/],
    ["403", answers(403), InputError, /refused.pth: does not exist or is private \(403\)/],
    ["418", answers(418), InputError, /must send it; it answered 418/],
    ["416 at the beginning", answers(416), InputError, /it has no bytes of it \(416\)/],
    ["Retry-After beyond patience", answers(429, { "retry-after": "3600" }), NetworkError, /answered 429 \(the server asks to wait 3600 s; what has arrived is kept\)/],
    ["a redirect to a file of this machine", redirects("file:///etc/passwd"), InputError, /redirects must lead to a file; got one to "file:\/\/\/etc\/passwd"/],
    ["a redirect to nowhere", answers(302), InputError, /redirects must lead to a file/],
  ])("%s is refused in one line, and nothing is stored", async (_, misdeed, kind, message) => {
    const { models } = serve("refused", misdeed);
    const error = await errorOf(pull("refused", options({ models })));
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(kind);
    expect(cached()).toEqual([]);
  });

  test("a hash is held against the digits in the file's name where no more is known", async () => {
    const files = [{ path: "digits-00000000.pth" }];
    server.put("/models/digits-00000000.pth", BYTES);
    const error = await errorOf(pull("digits", options({ models: [model("digits", { files })] })));
    expect(error.message).toMatch(/must have the sha256 00000000…; got/);
  });

  test("a server that never stops sending is cut off, though it promised nothing", async () => {
    const path = "/models/endless.pth";
    server.put(path, BYTES);
    let sent = 0;
    server.next(path, (response) => {
      response.writeHead(200);
      const more = (): void => {
        if (!response.destroyed && (sent += BYTES.length)) response.write(BYTES, more);
      };
      more();
    });
    const error = await errorOf(pull("endless", options({ models: [model("endless", { files: [{ path: "endless.pth", size: 1_000_000 }] })] })));
    expect(error.message).toMatch(/must have 1000000 bytes; the server sends more/);
    expect(sent).toBeLessThan(50_000_000);
  });

  test("redirects in a loop end", async () => {
    const { models } = serve("loop", redirects("/models/b.pth"));
    server.put("/models/b.pth", BYTES);
    server.next("/models/b.pth", redirects("/models/loop.pth"));
    expect((await errorOf(pull("loop", options({ models })))).message).toMatch(/redirects must lead to a file; got a loop/);
    const chain = Array.from({ length: 12 }, (_, i) => `/models/chain${i}.pth`);
    for (const [i, path] of chain.entries()) {
      server.put(path, BYTES);
      server.next(path, redirects(`/models/chain${i + 1}.pth`));
    }
    expect((await errorOf(pull("chain0", options({ models: [model("chain0")] })))).message).toMatch(/got more than 10/);
  });

  test("a server that is not there is said so quickly", async () => {
    const gone = await HubServer.start();
    await gone.stop();
    const models = [model("gone", { url: `${gone.origin}/` })];
    const error = await errorOf(pull("gone", options({ models })));
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toMatch(/refused the connection, 2 times in a row \(check the network and try again/);
  });

  test("a signal stops it, and what has arrived is kept", async () => {
    const { models } = serve("stopped", stalls(100_000));
    const stop = new AbortController();
    const stopping = pull("stopped", options({ models, onProgress: ({ received }) => received === 100_000 && stop.abort(new Error("stop")) }, { signal: stop.signal }));
    expect((await errorOf(stopping)).message).toBe("stop");
    expect(await new FileStore(folder).list()).toEqual([{ key: expect.stringMatching(/\/models\/stopped.pth$/) as string, size: 100_000, complete: false }]);
    server.forget();
    expect(isWhole((await pull("stopped", options({ models })))[0].location)).toBe(true);
    expect(server.rangesOf("/models/stopped.pth")).toEqual(["bytes=100000-"]);
  });

  test("two at once do not spoil each other", async () => {
    const { models } = serve("twice", breaks(150_000), breaks(100_000));
    const both = await Promise.all([pull("twice", options({ models })), pull("twice", options({ models }))]);
    for (const [file] of both) expect(isWhole(file.location)).toBe(true);
    expect(cached().filter((name) => name.includes("part"))).toEqual([]);
  });

  test("what a killed process left is taken over", async () => {
    const { models } = serve("killed", stalls(120_000));
    const stop = new AbortController();
    await errorOf(pull("killed", options({ models, onProgress: ({ received }) => received === 120_000 && stop.abort(new Error("stop")) }, { signal: stop.signal })));
    const [part] = cached().filter((name) => name.endsWith(".part"));
    const { hostname } = await import("node:os");
    renameSync(join(folder, part), join(folder, part.replace(/\.part$/, `~${hostname()}-999999999-00000000.part`)));
    server.forget();
    await pull("killed", options({ models }));
    expect(server.rangesOf("/models/killed.pth")).toEqual(["bytes=120000-"]);
  });
});

describe("repositories", () => {
  const FILES = { "config.json": '{"a":1}', "model.safetensors": BYTES, "pytorch_model.bin": "other", "README.md": "text", ".gitattributes": "" };

  test("a repository's weights and what stands beside them, from the commit that the API tells", async () => {
    server.putRepo("org/whole", FILES);
    const pulled = await pull("org/whole", options());
    expect(pulled.map(({ path }) => path)).toEqual(["config.json", "model.safetensors"]);
    expect(server.requests.map(({ path }) => path)).toEqual(["/api/models/org/whole/revision/main?blobs=true", ...["config.json", "model.safetensors"].map((path) => `/org/whole/resolve/${COMMIT}/${path}`)]);
    expect(pulled[1].location).toBe(join(folder, "hf/org/whole/main/model.safetensors"));
  });

  test("a branch that moved is pulled again, and only what changed", async () => {
    server.putRepo("org/moving", FILES);
    await pull("org/moving", options());
    expect(await pull("org/moving", options())).toMatchObject([{ cached: true }, { cached: true }]);
    server.putRepo("org/moving", { ...FILES, "config.json": '{"a":2}' }, { commit: "d".repeat(40) });
    const pulled = await pull("org/moving", options());
    expect(pulled.map(({ cached: isCached }) => isCached)).toEqual([false, true]);
    expect(readFileSync(pulled[0].location, "utf8")).toBe('{"a":2}');
    // A pull of a newer state that fails leaves the older one usable.
    server.putRepo("org/moving", { ...FILES, "config.json": '{"a":2}', "model.safetensors": weights(LENGTH, 4) }, { commit: "e".repeat(40) });
    server.next(`/org/moving/resolve/${"e".repeat(40)}/model.safetensors`, answers(418));
    await errorOf(pull("org/moving", options()));
    expect(await pull("org/moving", options({ offline: true }))).toMatchObject([{ cached: true }, { cached: true, sha256: sha256Of(BYTES) }]);
  });

  test("shards come with their index", async () => {
    const shard = (i: number): string => `model-0000${i}-of-00002.safetensors`;
    const index = JSON.stringify({ weight_map: { a: shard(1), b: shard(2) } });
    server.putRepo("org/sharded", { "model.safetensors.index.json": index, [shard(1)]: "one", [shard(2)]: "two" });
    const pulled = await pull("org/sharded", options());
    expect(pulled.map(({ path }) => path)).toEqual(["model.safetensors.index.json", shard(1), shard(2)]);
    expect(await resolveModel("org/sharded", { cache: folder, endpoint: server.origin })).toBe(join(folder, "hf/org/sharded/main/model.safetensors.index.json"));
  });

  test("a mirror without an API is asked for the usual names", async () => {
    for (const [path, content] of Object.entries(FILES)) server.put(`/org/plain/resolve/main/${path}`, content);
    expect((await pull("org/plain", options())).map(({ path }) => path)).toEqual(["model.safetensors", "config.json"]);
    expect(await pull("org/plain", options())).toMatchObject([{ cached: true }, { cached: true }]);
    const shards = { a: "pytorch_model-00001-of-00001.bin" };
    server.put("/org/shards/resolve/main/pytorch_model.bin.index.json", JSON.stringify({ weight_map: shards }));
    expect((await errorOf(pull("org/shards", options()))).message).toMatch(/org\/shards: pytorch_model-00001-of-00001.bin: the server has nothing of that name \(404\)/);
    server.put(`/org/shards/resolve/main/${shards.a}`, BYTES);
    expect((await pull("org/shards", options())).map(({ path }) => path)).toEqual(["pytorch_model.bin.index.json", shards.a]);
    const index = JSON.stringify({ weight_map: { a: "../../../x", b: "b.bin" } });
    server.put("/org/hostile/resolve/main/pytorch_model.bin.index.json", index);
    expect((await errorOf(pull("org/hostile", options()))).message).toMatch(/a file's name must be a plain path below its folder; got "\.\.\/\.\.\/\.\.\/x"/);
  });

  test("large files come from another host, which never sees the token", async () => {
    server.putRepo("org/large", { "model.safetensors": BYTES }, { storage });
    const [file] = await pull("org/large", options({}, { token: "hf_secret" }));
    expect(isWhole(file.location)).toBe(true);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer hf_secret", "Bearer hf_secret"]);
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(storage.requests[0].headers.range).toBe("bytes=0-");
  });

  test("the endpoint's own hash decides, before the bytes are fetched and after", async () => {
    server.putRepo("org/swapped", { "model.safetensors": BYTES }, { storage });
    storage.put(`/blobs/${sha256Of(BYTES)}`, weights(LENGTH, 5));
    const error = await errorOf(pull("org/swapped/model.safetensors", options()));
    expect(error.message).toMatch(/must have the sha256 [0-9a-f]{64}; got/);
    expect(error.message).not.toMatch(/secret/);
    storage.forget();
    const models = [model("pinned", { url: undefined, repo: "org/swapped", revision: COMMIT, files: [{ path: "model.safetensors", sha256: "0".repeat(64) }] })];
    expect((await errorOf(pull("pinned", options({ models })))).message).toMatch(/must have the sha256 0{64}; the server has/);
  });

  test.each<[string, Parameters<HubServer["next"]>[1], object, RegExp]>([
    ["gated", answers(403, { "x-error-code": "GatedRepo" }), {}, /^org\/closed: gated, and the terms of its owner are not accepted yet \(403\) \(accept them at http.*\/org\/closed and set HF_TOKEN/],
    ["private or missing", answers(401, { "x-error-code": "RepoNotFound" }), {}, /does not exist or is private \(401\) \(.*set HF_TOKEN/],
    ["a bad token", answers(401), { token: "hf_old" }, /refuses the token in HF_TOKEN \(401\)/],
    ["no such revision", answers(404, { "x-error-code": "RevisionNotFound" }), {}, /there is no revision main \(404\)/],
    ["no weights", answers(200, {}, '{"siblings":[{"rfilename":"README.md"}]}'), {}, /must hold weights .* at its top; got README.md/],
    ["a path that climbs", answers(200, {}, '{"siblings":[{"rfilename":"model.safetensors/../../x.safetensors"},{"rfilename":"\\u0000.bin"}]}'), {}, /plain path below its folder/],
    ["an endless answer", (response) => void response.writeHead(200).end(Buffer.alloc(2 ** 25 + 1, 32)), {}, /the answer must have at most 33554432 bytes; got more/],
  ])("%s is said in one line", async (_, misdeed, connection, message) => {
    server.putRepo("org/closed", FILES);
    server.next("/api/models/org/closed/revision/main?blobs=true", misdeed);
    expect((await errorOf(pull("org/closed", options({}, connection)))).message).toMatch(message);
  });

  test("a name that is nowhere", async () => {
    expect((await errorOf(pull("openai/gpt2", options()))).message).toMatch(/openai\/gpt2: .* has no such repository.*\(did you mean gpt2/);
  });
});

describe("offline", () => {
  test("what was pulled is there, the rest is refused with what to do", async () => {
    const { models } = serve("kept");
    const before = await pull("kept", options({ models }));
    server.putRepo("org/kept", { "model.safetensors": BYTES, "config.json": "{}" });
    await pull("org/kept", options());
    server.forget();
    expect(await pull("kept", options({ models, offline: true }))).toMatchObject([{ location: before[0].location, cached: true }]);
    expect((await pull("org/kept", options({ offline: true }))).map(({ path }) => path)).toEqual(["config.json", "model.safetensors"]);
    expect((await errorOf(pull("org/none", options({ offline: true })))).message).toMatch(/must be in the cache to be used offline; got nothing \(pull it once with a network: sightline pull org\/none\)/);
    expect((await errorOf(pull("gpt2", options({ offline: true })))).message).toMatch(/^gpt2: config.json, .*model.safetensors must be in the cache/);
    expect(server.requests).toEqual([]);
  });

  test("without a network the cache is used, with a note", async () => {
    const gone = await HubServer.start();
    gone.putRepo("org/gone", { "model.safetensors": BYTES });
    const { connection } = options();
    const here = { ...connection, endpoint: gone.origin };
    await pull("org/gone", { ...options(), connection: here });
    await pull("org/gone/model.safetensors", { ...options(), connection: here });
    await gone.stop();
    const notes: string[] = [];
    const onNote = (note: string): void => void notes.push(note);
    expect(await pull("org/gone", { ...options({ onNote }), connection: here })).toMatchObject([{ cached: true }]);
    expect(await pull("org/gone/model.safetensors", { ...options({ onNote }), connection: here })).toMatchObject([{ cached: true }]);
    expect(notes).toEqual([1, 2].map(() => expect.stringMatching(/refused the connection.*: using what the cache has of org\/gone/) as string));
  });

  test("the environment is heard", () => {
    vi.stubEnv("HF_ENDPOINT", "https://mirror.test/");
    vi.stubEnv("HF_TOKEN", " hf_x\n");
    vi.stubEnv("SIGHTLINE_OFFLINE", "1");
    vi.stubEnv("SIGHTLINE_HOME", "/somewhere");
    expect(hubOptions()).toMatchObject({ connection: { endpoint: "https://mirror.test", token: "hf_x" }, offline: true });
    expect(cacheFolder()).toBe(join("/somewhere", "hub"));
    expect(cacheFolder({ XDG_CACHE_HOME: "/c" })).toMatch(/sightline.hub$/);
    for (const damaged of ["hf_a\nhf_b", "hf_a b", "hf_\u20ac"]) {
      vi.stubEnv("HF_TOKEN", damaged);
      expect(() => hubOptions()).toThrow(new InputError(`HF_TOKEN must be one word of letters, digits and signs; got ${damaged.length} characters, of which some are others`, "copy the token again, or unset HF_TOKEN"));
    }
    vi.stubEnv("HF_TOKEN", "");
    expect(hubOptions().connection.token).toBeUndefined();
    vi.stubEnv("SIGHTLINE_OFFLINE", "0");
    expect(hubOptions({ endpoint: "http://a.test" })).toMatchObject({ connection: { endpoint: "http://a.test" }, offline: false });
  });
});

test("a page that may not store files is told so", async () => {
  for (const navigator of [{}, { storage: {} }, { storage: { getDirectory: async () => ({}) } }]) {
    vi.stubGlobal("navigator", navigator); // as on a page from http
    await expect(new BrowserStore().list()).rejects.toThrow(new InputError("the browser does not let this page store files", "leave private browsing, and open the page from https or localhost"));
  }
});

describe("cache", () => {
  test("a file that was cut or lost its record is pulled again; entries are listed and removed", async () => {
    const { models } = serve("listed");
    const [file] = await pull("listed", options({ models }));
    const store = new FileStore(folder);
    const key = file.key;
    expect(await store.list()).toEqual([{ key, size: LENGTH, complete: true }]);
    appendFileSync(file.location, "x");
    expect(await store.find(key)).toBeNull();
    expect(await pull("listed", options({ models }))).toMatchObject([{ cached: false }]);
    await store.remove(key);
    expect(await store.list()).toEqual([]);
    expect(existsSync(file.location)).toBe(false);
  });

  test("records and lists that were damaged are as good as none", async () => {
    server.putRepo("org/torn", { "model.safetensors": BYTES });
    const [file] = await pull("org/torn", options());
    for (const name of [".model.safetensors.json", ".listing"]) writeFileSync(join(dirname(file.location), name), "{");
    expect(await pull("org/torn", options())).toMatchObject([{ cached: false }]);
    writeFileSync(join(dirname(file.location), ".listing"), '[{"path":"../../x"}]');
    expect((await errorOf(pull("org/torn", options({ offline: true })))).message).toMatch(/must be in the cache/);
  });

  test("a cache that cannot be written is said so", async () => {
    const { models } = serve("nowhere");
    writeFileSync(join(folder, "file"), "");
    expect((await errorOf(pull("nowhere", options({ models, store: new FileStore(join(folder, "file")) })))).message).toMatch(/cannot write .*: a part of the path is a file/);
  });

  test("a name becomes a path", async () => {
    const settings = { cache: folder, endpoint: server.origin };
    server.putRepo("org/named", { "model.safetensors": BYTES, "config.json": "{}" });
    expect((await errorOf(resolveModel("org/named", settings))).message).toMatch(/sightline pull org\/named/);
    await pull("org/named", options());
    expect(await resolveModel("org/named", settings)).toBe(join(folder, "hf/org/named/main/model.safetensors"));
    mkdirSync(join(folder, "run"));
    expect(await resolveModel(join(folder, "run"), settings)).toBe(join(folder, "run"));
    await expect(resolveModel("missing.safetensors", settings)).rejects.toThrow(/^missing.safetensors must be a path, or a name of weights that were pulled; got nothing of that name \(sightline pull lists the names\)$/);
    await expect(resolveModel("gtp2", settings)).rejects.toThrow(/did you mean gpt2/);
  });
});

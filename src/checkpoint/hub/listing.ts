/** Which files of a repository make a model: asked of the endpoint, or found by their usual names. */

import { InputError } from "../../core/errors.ts";
import { USUAL_WEIGHTS } from "../open.ts";
import { fileOf, safePath, type HubFile, type Target } from "./names.ts";
import { nearNames, PUBLISHED } from "./manifest.ts";
import { persist, plainTag, request, shownAddress, Answer, type Connection } from "./request.ts";

const MOST_LISTING_BYTES = 2 ** 25;

/** Forms of weights, the best first; the shards of a form belong to its index. */
const WEIGHTS = [/^model\.safetensors$/, /^model\.safetensors\.index\.json$/, /^[^/]+\.safetensors$/, /^pytorch_model\.bin$/, /^pytorch_model\.bin\.index\.json$/, /^[^/]+\.(?:pth|pt|bin)$/];
const SHARDS: Readonly<Record<string, RegExp>> = {
  "model.safetensors.index.json": /^model-\d{5}-of-\d{5}\.safetensors$/,
  "pytorch_model.bin.index.json": /^pytorch_model-\d{5}-of-\d{5}\.bin$/,
};

/** What stands beside weights: settings, tokenisers. */
const COMPANIONS = ["config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"];

/** The file to open first among a model's files: its weights, or the index of their shards. */
export function weightsAmong(paths: readonly string[]): string | undefined {
  return WEIGHTS.map((form) => paths.find((path) => form.test(path))).find((path) => path !== undefined);
}

/** The files that are worth having: one form of the weights and what stands beside them. */
function choose(paths: readonly string[]): string[] {
  const weights = weightsAmong(paths);
  if (weights === undefined) return [];
  return [...COMPANIONS.filter((path) => paths.includes(path)), weights, ...paths.filter((path) => SHARDS[weights]?.test(path)).toSorted()];
}

/** What the endpoint's API tells of a file. */
interface Sibling {
  readonly rfilename: string;
  readonly size?: number | null;
  readonly blobId?: string;
  readonly lfs?: { readonly sha256?: string } | null;
}

/**
 * The files of a repository's model.
 * @throws InputError if the repository is missing or closed, or holds no weights.
 * @throws NetworkError if the endpoint cannot be reached.
 */
export async function listFiles(target: Target & { readonly repo: object }, connection: Connection): Promise<HubFile[]> {
  const { id, revision } = target.repo;
  const address = `${connection.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const { status, text } = await persist(connection, address, async () => {
    const answer = await request(connection, address, { accept: "application/json" });
    if (answer.status === 200) return { status: 200, text: await answer.text(MOST_LISTING_BYTES) };
    answer.cancel();
    // A plain mirror has the files but no API; so does the answer tell that a repository is missing.
    if (answer.status !== 404 || answer.headers.has("x-error-code")) throw refusal(answer, target, connection);
    return { status: 404, text: "" };
  });
  const listing = status === 200 ? parseListing(text) : null;
  if (listing === null) return probeFiles(target, connection);
  // From the commit itself: a branch that moves between two files would mix two states.
  const base = listing.commit === undefined ? target.base : `${connection.endpoint}/${id}/resolve/${listing.commit}/`;
  const chosen = choose(listing.siblings.map(({ rfilename }) => rfilename));
  if (chosen.length === 0) {
    const names = listing.siblings.slice(0, 8).map(({ rfilename }) => rfilename).join(", ");
    throw new InputError(`${target.name}: must hold weights (.safetensors, .bin, .pth) at its top; got ${names || "no file"}`, "name files with --file");
  }
  return chosen.map((path) => {
    const { size, blobId, lfs } = listing.siblings.find(({ rfilename }) => rfilename === path)!;
    return fileOf({ ...target, base }, { path, size: size ?? undefined, sha256: lfs?.sha256, version: lfs?.sha256 ?? blobId });
  });
}

/** The API's answer, or null where it is something else: a mirror may send any page. */
function parseListing(text: string): { readonly commit?: string; readonly siblings: readonly Sibling[] } | null {
  try {
    const { sha, siblings } = JSON.parse(text) as { readonly sha?: unknown; readonly siblings?: unknown };
    if (!Array.isArray(siblings) || !siblings.every(isSibling)) return null;
    return { commit: typeof sha === "string" && /^[0-9a-f]{40}$/.test(sha) ? sha : undefined, siblings };
  } catch {
    return null;
  }
}

function isSibling(value: unknown): value is Sibling {
  const { rfilename, size, blobId, lfs } = (value ?? {}) as Record<string, unknown>;
  const sha256 = (lfs as { readonly sha256?: unknown } | null | undefined)?.sha256;
  return typeof rfilename === "string" && (size === undefined || size === null || (Number.isSafeInteger(size) && Number(size) >= 0)) && (blobId === undefined || typeof blobId === "string") && (sha256 === undefined || /^[0-9a-f]{64}$/.test(String(sha256)));
}

/** Finds the files by their usual names, without an API. */
async function probeFiles(target: Target & { readonly repo: object }, connection: Connection): Promise<HubFile[]> {
  const found: HubFile[] = [];
  const probe = async (path: string): Promise<boolean> => {
    const answer = await persist(connection, target.base + path, () => ask(fileOf(target, { path }), connection));
    if (answer instanceof Answer && answer.status !== 404) throw refusal(answer, target, connection, path);
    if (!(answer instanceof Answer)) found.push(answer);
    return !(answer instanceof Answer);
  };
  let weights: string | undefined;
  for (const path of USUAL_WEIGHTS) weights ??= (await probe(path)) ? path : undefined;
  if (weights === undefined) throw new InputError(`${target.name}: ${connection.endpoint} has no such repository, or it holds no weights under a usual name`, hintFor(target.name));
  if (weights in SHARDS) for (const path of await readShards(found[0], connection)) found.push(await probeFile(fileOf(target, { path }), target, connection));
  for (const path of COMPANIONS) await probe(path);
  return found;
}

/**
 * What the server tells of a file before it sends it: size, hash, version.
 * @throws InputError if it has no such file, or refuses.
 */
export async function probeFile(file: HubFile, target: Target, connection: Connection): Promise<HubFile> {
  const answer = await persist(connection, file.url, () => ask(file, connection));
  if (answer instanceof Answer) throw refusal(answer, target, connection, file.path);
  return answer;
}

/** Asks for a single byte; the answer itself where there is no file. */
async function ask(file: HubFile, connection: Connection): Promise<HubFile | Answer> {
  const answer = await request(connection, file.url, { range: "bytes=0-0" });
  answer.cancel();
  if (![200, 206, 416].includes(answer.status)) return answer; // 416: the file is empty
  return { ...answer.linked, ...file, version: answer.linked.sha256 ?? plainTag(answer.headers.get("etag")) };
}

/** The shards that an index names. */
async function readShards(index: HubFile, connection: Connection): Promise<string[]> {
  const text = await persist(connection, index.url, async () => (await request(connection, index.url)).text(MOST_LISTING_BYTES));
  try {
    const { weight_map: map } = JSON.parse(text) as { readonly weight_map: Readonly<Record<string, string>> };
    return [...new Set(Object.values(map))].map((path) => safePath(path, index.path));
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`${shownAddress(index.url)}: must be an index of shards with a weight_map; got something else`, "check the endpoint's address", { cause });
  }
}

/** A refusal in words: what was asked for, why it is not given, and what to do. */
export function refusal({ status, headers }: Answer, { name, repo }: Pick<Target, "name" | "repo">, { endpoint, token }: Connection, path?: string): InputError {
  const what = path === undefined ? name : `${name}: ${path}`;
  const page = repo === null ? "the server's own page" : `${endpoint}/${repo.id}`;
  const code = headers.get("x-error-code");
  if (code === "GatedRepo") return new InputError(`${what}: gated, and the terms of its owner are not accepted yet (${status})`, `accept them at ${page} and set HF_TOKEN to a token of that account`);
  if (code === "RevisionNotFound") return new InputError(`${what}: there is no revision ${repo?.revision} (${status})`, "leave the revision out for the branch main");
  if (code === "EntryNotFound") return new InputError(`${what}: the server has no such file (${status})`, `${page} shows what there is`);
  if (status === 401 && token !== undefined && code !== "RepoNotFound") return new InputError(`${what}: the server refuses the token in HF_TOKEN (401)`, "make a new one, or unset HF_TOKEN");
  if (status === 401 || status === 403) return new InputError(`${what}: does not exist or is private (${status})`, `${hintFor(name)}; for a private one, set HF_TOKEN to a token that may read it`);
  if (status === 404 || status === 410) return new InputError(`${what}: the server has nothing of that name (${status})`, hintFor(name));
  return new InputError(`${what}: the server must send it; it answered ${status}`, "check the endpoint's address, or try later");
}

function hintFor(name: string): string {
  const near = nearNames(name.replace(/^.*\//, ""), PUBLISHED.map((model) => model.name)).filter((one) => one !== name);
  return near.length === 0 ? "check the name; sightline pull lists published ones" : `did you mean ${near.join(" or ")}?`;
}

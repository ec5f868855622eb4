/** What a name of published weights stands for, and where its files lie: on servers and in the cache. */

import { InputError } from "../../core/errors.ts";
import { nearNames, type PublishedFile, type PublishedModel } from "./manifest.ts";

export const DEFAULT_ENDPOINT = "https://huggingface.co";

const REPO = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/;
const REVISION = /^[A-Za-z0-9][\w./-]{0,254}$/;
const COMMIT = /^[0-9a-f]{40}$/;
const SEGMENT = /^[\p{L}\p{N}_][\p{L}\p{N}_.+=@,() -]{0,149}$/u; // of a file's path; a leading dot is kept for the cache's own files
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i; // names that Windows keeps for itself
const SHA256_PREFIX = /-([0-9a-f]{8})\.\w+$/; // torchvision's file names end in the first digits of their hash

/** A file to download. */
export interface HubFile extends PublishedFile {
  readonly url: string;
  /** Its path in the cache. */
  readonly key: string;
  /** The first digits of the hash, where no more is known. */
  readonly sha256Prefix?: string;
  /** Changes with the content; the server's own. */
  readonly version?: string;
}

/** What a name stands for. */
export interface Target {
  /** As messages call it. */
  readonly name: string;
  /** A repository of the endpoint, or null for an address. */
  readonly repo: { readonly id: string; readonly revision: string } | null;
  /** Where its files lie in the cache: a folder. */
  readonly place: string;
  /** What its files' addresses begin with. */
  readonly base: string;
  /** Whether its content can change under the same name. */
  readonly moving: boolean;
  /** The files, or null where the server has to be asked what there is. */
  readonly files: readonly HubFile[] | null;
}

/** How a name is to be understood. */
export interface TargetOptions {
  /** The Hugging Face endpoint or a mirror of it. */
  readonly endpoint: string;
  readonly models: readonly PublishedModel[];
  /** Another state of a repository: a branch, a tag or a commit. */
  readonly revision?: string;
  /** These files alone. */
  readonly files?: readonly string[];
}

/** The endpoint's address without a slash at its end. @throws InputError if it is no web address. */
export function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    throw new InputError(`the endpoint must be a web address such as ${DEFAULT_ENDPOINT}; got ${JSON.stringify(text)}`, "set HF_ENDPOINT or --endpoint to one, or leave it out");
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * An access token without the blanks around it, or undefined where none is set.
 * @throws InputError if no header of a request could carry it. The token itself is in no message.
 */
export function parseToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (token === undefined || token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new InputError(`HF_TOKEN must be one word of letters, digits and signs; got ${token.length} characters, of which some are others`, "copy the token again, or unset HF_TOKEN");
}

/** A path that a server or a user gave, if it stays inside of the folder that it is put into. @throws InputError if it does not. */
export function safePath(path: string, whose: string): string {
  const segments = path.split("/");
  if (path.length <= 500 && segments.every((segment) => SEGMENT.test(segment) && !/[. ]$/.test(segment) && !DEVICE.test(segment))) return path;
  throw new InputError(`${whose}: a file's name must be a plain path below its folder; got ${JSON.stringify(path.slice(0, 100))}`, "no such file is downloaded; name the ones you want with --file");
}

/** A file of a target, with all that its name tells. */
export function fileOf(target: Pick<Target, "name" | "place" | "base">, file: PublishedFile & { readonly version?: string }): HubFile {
  const path = safePath(file.path, target.name);
  return { ...file, path, url: target.base + path.split("/").map(encodeURIComponent).join("/"), key: `${target.place}/${path}` };
}

/**
 * Finds what a name stands for: a short name of the manifest, or `org/repo[@revision][/file]`.
 * @throws InputError if it is neither; the message lists the names that come near.
 */
export function findTarget(name: string, options: TargetOptions): Target {
  const { models, endpoint } = options;
  const [, id, at, path] = /^([^/@]*\/[^/@]+)(?:@([^/@]+))?(?:\/(.+))?$/.exec(name) ?? [];
  const model = models.find((known) => known.name === name || (id !== undefined && known.repo === id));
  if (model === undefined && (id === undefined || !REPO.test(id) || /\.\.|--/.test(id))) {
    const near = nearNames(name, models.map((known) => known.name));
    const guess = near.length === 0 ? "" : `did you mean ${near.join(" or ")}? `;
    throw new InputError(`${JSON.stringify(name.slice(0, 200))} must be a name of published weights, or org/repo of the hub`, `${guess}sightline pull lists the names`);
  }
  if (at !== undefined && options.revision !== undefined) throw new InputError(`--revision ${options.revision}: ${name} names a revision already`, "leave one of them out");
  const revision = at ?? options.revision;
  const paths = [...new Set([...(path === undefined ? [] : [path]), ...(options.files ?? [])])];
  if (model !== undefined && (revision === undefined || revision === model.revision)) return publishedTarget(model, endpoint, paths);
  const repo = model?.repo ?? id;
  if (repo === undefined) throw new InputError(`--revision ${revision}: ${name} is no repository and has no revisions`, "leave --revision out");
  const target = repoTarget(name, repo, revision ?? "main", endpoint);
  return paths.length === 0 ? target : { ...target, files: paths.map((one) => fileOf(target, { path: one })) };
}

function repoTarget(name: string, id: string, revision: string, endpoint: string): Target {
  if (!REVISION.test(revision) || revision.includes("..") || revision.endsWith("/")) {
    throw new InputError(`${name}: a revision must be a branch, a tag or a commit; got ${JSON.stringify(revision.slice(0, 100))}`, "leave it out for the branch main");
  }
  const part = encodeURIComponent(revision);
  return { name, repo: { id, revision }, place: `hf/${id}/${part}`, base: `${endpoint}/${id}/resolve/${part}/`, moving: !COMMIT.test(revision), files: null };
}

/** A model of the manifest, or some of its files. */
function publishedTarget(model: PublishedModel, endpoint: string, paths: readonly string[]): Target {
  const { name, repo, revision = "main", url = "" } = model;
  const target: Target = repo === undefined ? { name, repo: null, place: placeOf(url), base: url, moving: false, files: null } : repoTarget(name, repo, revision, endpoint);
  const known = paths.map((path) => model.files.find((file) => file.path === path));
  const missing = known.indexOf(undefined);
  if (missing !== -1 && repo === undefined) throw new InputError(`--file ${paths[missing]}: ${name} has no such file`, `it has ${model.files.map(({ path }) => path).join(", ")}`);
  const wanted = paths.length === 0 ? model.files : known.map((file, i) => file ?? { path: paths[i] });
  const prefixOf = (path: string): string | undefined => (repo === undefined ? SHA256_PREFIX.exec(path)?.[1] : undefined);
  return { ...target, files: wanted.map((file) => ({ ...fileOf(target, file), sha256Prefix: prefixOf(file.path) })) };
}

/** The cache folder of an address: its host and path. */
function placeOf(address: string): string {
  const { host, pathname } = new URL(address);
  return [host, ...pathname.split("/").filter((segment) => segment !== "")].map(encodeURIComponent).join("/");
}

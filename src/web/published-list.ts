/** Published models, and what of them this browser keeps. */

import { browserHubOptions, BrowserStore } from "../checkpoint/hub/browser.ts";
import { weightsAmong } from "../checkpoint/hub/listing.ts";
import { PUBLISHED, type PublishedModel } from "../checkpoint/hub/manifest.ts";
import { findTarget, type Target } from "../checkpoint/hub/names.ts";
import type { StoredEntry } from "../checkpoint/hub/pull.ts";
import type { WebHub } from "./open-captioner.ts";
import type { PublishedEntry } from "./service.ts";

/** `hf/org/repo/revision/…`: where files of a repository are kept. */
const REPOSITORY = /^hf\/([^/]+\/[^/]+)\/([^/]+)\//;

/** The models of the manifest, and after them those that are stored here under other names. */
export async function listPublished(hub: WebHub = {}): Promise<readonly PublishedEntry[]> {
  const { store = new BrowserStore(), models = PUBLISHED } = hub;
  const stored = await store.list();
  const known = models.map((model) => {
    const target = targetOf(model.name, hub);
    const entries = stored.filter(({ key }) => belongsTo(key, target));
    const complete = target.files !== null && target.files.every((file) => entries.some(({ key, complete }) => complete && key === file.key));
    return { entries, entry: { name: model.name, about: model.about, licence: model.licence, size: complete ? bytesOf(entries) : sizeOf(model), stored: bytesOf(entries), complete, captions: isCaptioner(model) } };
  });
  const listed = new Set(known.flatMap(({ entries }) => entries));
  const others = stored.filter((entry) => !listed.has(entry));
  const names = new Set(others.map(({ key }) => nameOf(key)).filter((name) => name !== null));
  const rest = [...names].map((name): PublishedEntry => {
    const entries = others.filter(({ key }) => nameOf(key) === name);
    const complete = entries.every((entry) => entry.complete);
    return { name, about: "from the Hugging Face hub", licence: "as its page says", size: complete ? bytesOf(entries) : undefined, stored: bytesOf(entries), complete, captions: true };
  });
  return [...known.map(({ entry }) => entry), ...rest];
}

/** Deletes what is stored of a model. @throws InputError if that is no name of published weights. */
export async function removePublished(name: string, hub: WebHub = {}): Promise<void> {
  const { store = new BrowserStore() } = hub;
  const target = targetOf(name, hub);
  const keys = new Set((await store.list()).map(({ key }) => key).filter((key) => belongsTo(key, target)));
  for (const key of keys) await store.remove(key);
}

function targetOf(name: string, { models = PUBLISHED, endpoint }: WebHub): Target {
  return findTarget(name, { models, endpoint: browserHubOptions({ endpoint }).connection.endpoint });
}

/** Models at plain addresses may share a folder; a repository's state has one of its own. */
function belongsTo(key: string, { repo, place, files }: Target): boolean {
  return repo === null ? files!.some((file) => file.key === key) : key.startsWith(`${place}/`);
}

function nameOf(key: string): string | null {
  const [, repo, revision] = REPOSITORY.exec(key) ?? [];
  return repo === undefined ? null : revision === "main" ? repo : `${repo}@${decodeURIComponent(revision)}`;
}

function bytesOf(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}

/** What is known of a model's size, if that of the weights is: the files beside them are small. */
function sizeOf({ files }: PublishedModel): number | undefined {
  const weights = files.find(({ path }) => path === weightsAmong(files.map((file) => file.path)));
  return weights?.size === undefined ? undefined : files.reduce((sum, { size = 0 }) => sum + size, 0);
}

/** A file with a vision network and a language model in it. */
function isCaptioner({ fits }: PublishedModel): boolean {
  return fits.length > 1;
}

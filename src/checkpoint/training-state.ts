/**
 * Everything but tensors that a checkpoint carries, as strings in the safetensors metadata: `format`, `version` and
 * `system` as they are, so that other tools show them plainly, and every further field as JSON.
 */

import { CheckpointError, shown } from "../core/errors.ts";
import type { GeneratorState } from "../core/rng.ts";
import { isJsonObject, isWholeNumber } from "./safetensors.ts";

const FORMAT = "sightline-checkpoint";
const VERSION = 2;
const MAX_SHOWN = 100; // characters of a list of names in an error message
const DAMAGED = "the checkpoint is damaged; use an earlier one";

/** Where training stood, and whatever else the trainer wants back (best score, schedule, loss scale …). */
export interface TrainerState {
  /** Epochs finished. */
  readonly epoch: number;
  /** Optimiser steps taken. */
  readonly step: number;
  readonly [key: string]: unknown;
}

/** The metadata of a checkpoint. Fields of type `unknown` are plain JSON, checked by whoever owns them. */
export interface CheckpointMetadata {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** Name of the captioning system. */
  readonly system: string;
  readonly config: unknown;
  readonly vocabulary: unknown;
  readonly preprocessing: unknown;
  /** Of configuration, vocabulary and preprocessing together, so that one that was exchanged is found. */
  readonly fingerprint: string;
  /** How it was trained; absent where nobody knows. */
  readonly recipe?: unknown;
  /** Absent from a checkpoint that is for inference only. */
  readonly trainer?: TrainerState;
  /** Every random generator of the run; absent with `trainer`. */
  readonly random?: readonly GeneratorState[];
}

/** Refuses what `JSON.stringify` would drop or change without a word: NaN, infinities, undefined, class instances. */
function requireJson(value: unknown, path: string): void {
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number" && Number.isFinite(value)) return;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) requireJson(value[i], `${path}[${i}]`);
    return;
  }
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    for (const [key, entry] of Object.entries(value)) requireJson(entry, `${path}.${key}`);
    return;
  }
  const kind = typeof value === "object" ? (value.constructor?.name ?? "an object") : typeof value;
  const got = typeof value === "number" ? String(value) : kind;
  const hint = "store finite numbers, strings, booleans, null, lists and plain objects; for a value not yet known, null";
  throw new CheckpointError(`encodeMetadata: ${path} must be plain JSON; got ${got}`, hint);
}

function isTrainerState(value: unknown): value is TrainerState {
  return isJsonObject(value) && isWholeNumber(value.epoch) && isWholeNumber(value.step);
}

function isGeneratorState(value: unknown): value is GeneratorState {
  return isJsonObject(value) && isWholeNumber(value.seed) && isWholeNumber(value.stream) && isWholeNumber(value.counter);
}

function requireFields(trainer: unknown, random: unknown, label: string, hint: string): void {
  if (trainer !== undefined && !isTrainerState(trainer)) {
    const got = shown(trainer);
    throw new CheckpointError(`${label}: trainer must be an object with whole numbers epoch and step; got ${got}`, hint);
  }
  if (random !== undefined && !(Array.isArray(random) && random.every(isGeneratorState))) {
    const got = shown(random);
    throw new CheckpointError(`${label}: random must be a list of whole numbers seed, stream and counter; got ${got}`, hint);
  }
}

/**
 * The metadata as strings, for `saveSafetensors`.
 *
 * @throws CheckpointError if a value would not come back from JSON as it is, or trainer or random lack their numbers.
 */
export function encodeMetadata(metadata: Omit<CheckpointMetadata, "format" | "version">): Record<string, string> {
  const { system, config, vocabulary, preprocessing, fingerprint, recipe, trainer, random } = metadata;
  const fields = { config, vocabulary, preprocessing, fingerprint, ...(recipe !== undefined && { recipe }), ...(trainer && { trainer }), ...(random && { random }) };
  if (!system) throw new CheckpointError('encodeMetadata: system must be a name; got ""', "pass the captioning system's name");
  for (const [name, value] of Object.entries(fields)) requireJson(value, name);
  requireFields(trainer, random, "encodeMetadata", "pass the trainer's and the generators' own state");
  const encoded = Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)] as const);
  return { format: FORMAT, version: String(VERSION), system, ...Object.fromEntries(encoded) };
}

/** Whether a file says that this library wrote it. */
export function isOwnCheckpoint(metadata: Readonly<Record<string, string>>): boolean {
  return metadata.format === FORMAT;
}

/**
 * Reads back what {@link encodeMetadata} wrote.
 *
 * @param record The metadata of a safetensors file.
 * @param fileName For error messages.
 * @throws CheckpointError if the file is not a sightline checkpoint, comes from a newer version, or a field is missing or damaged.
 */
export function decodeMetadata(record: Readonly<Record<string, string>>, fileName: string): CheckpointMetadata {
  if (record.format !== FORMAT) {
    const got = record.format === undefined ? "none" : shown(record.format);
    const what = `${fileName}: this file is a safetensors file but not a sightline checkpoint`;
    const hint = "load it as published weights of a model, or pass a file that sightline saved";
    throw new CheckpointError(`${what}; expected format "${FORMAT}" in its metadata, got ${got}`, hint);
  }
  const version = Number(record.version);
  if (Number.isInteger(version) && version > VERSION) {
    const hint = "update sightline, or save the checkpoint with the older version";
    throw new CheckpointError(`${fileName}: this checkpoint is of version ${version}; expected at most ${VERSION}`, hint);
  }
  if (Number.isInteger(version) && version >= 1 && version < VERSION) {
    throw new CheckpointError(`${fileName}: this checkpoint is of version ${version}; expected ${VERSION}`, "an older sightline wrote it; train again, or use that version");
  }
  if (version !== VERSION) {
    throw new CheckpointError(`${fileName}: the checkpoint's version must be ${VERSION}; got ${shown(record.version)}`, DAMAGED);
  }
  const optional = (name: string): unknown => {
    if (!Object.hasOwn(record, name)) return undefined;
    try {
      return JSON.parse(record[name]);
    } catch (cause) {
      const got = shown(record[name]);
      throw new CheckpointError(`${fileName}: the checkpoint's ${name} must be JSON; got ${got}`, DAMAGED, { cause });
    }
  };
  const required = (name: string): unknown => {
    if (Object.hasOwn(record, name)) return optional(name);
    const got = Object.keys(record).join(", ").slice(0, MAX_SHOWN);
    throw new CheckpointError(`${fileName}: a sightline checkpoint must hold ${name} in its metadata; got ${got}`, DAMAGED);
  };
  if (!record.system) {
    throw new CheckpointError(`${fileName}: the checkpoint must name its system; got ${record.system === "" ? '""' : "none"}`, DAMAGED);
  }
  const recipe = optional("recipe");
  const trainer = optional("trainer");
  const random = optional("random");
  requireFields(trainer, random, fileName, DAMAGED);
  return {
    format: FORMAT,
    version: VERSION,
    system: record.system,
    config: required("config"),
    vocabulary: required("vocabulary"),
    preprocessing: required("preprocessing"),
    fingerprint: String(required("fingerprint")),
    ...(recipe === undefined ? {} : { recipe }),
    ...(trainer === undefined ? {} : { trainer: trainer as TrainerState }),
    ...(random === undefined ? {} : { random: random as readonly GeneratorState[] }),
  };
}

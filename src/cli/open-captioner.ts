import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { captionerOf, type OpenedCaptioner } from "../caption/opened-captioner.ts";
import { captionerIn } from "../caption/published-captioner.ts";
import { attempt, openCheckpoint } from "../checkpoint/files.ts";
import { resolveModel } from "../checkpoint/hub/files.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { isOwnCheckpoint } from "../checkpoint/training-state.ts";
import { InputError } from "../core/errors.ts";
import type { Device } from "../device/device.ts";
import { findModel } from "./run-folder.ts";

/** What a published captioner may need beside its own file. */
export interface CaptionerFiles {
  /** Words: a pickled vocabulary, its JSON, or a tokeniser. Default: what lies beside the weights. */
  readonly vocab?: string;
  /** File or name of the ResNet whose features a storyteller works on. Default: the pulled `resnet50`. */
  readonly encoder?: string;
}

/** A captioner on the disk. */
export interface CaptionerOnDisk extends OpenedCaptioner {
  /** The file with its weights. */
  readonly file: string;
  /** Metadata of the file; of a published one nothing but what its writer put there. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Any captioner: one that this library trained, or a published one, whose system is recognised from the file's keys and whose words,
 * tokeniser and preprocessing lie beside it.
 * @param asked As {@link findModel} takes it.
 * @throws InputError if something is missing. @throws CheckpointError if the file is no captioner, or damaged.
 */
export async function openCaptioner(device: Device, asked: string | undefined, { vocab, encoder }: CaptionerFiles = {}): Promise<CaptionerOnDisk> {
  const file = await findModel(asked);
  const reader = await openCheckpoint(file);
  try {
    if (vocab !== undefined || encoder !== undefined) refuseNeedless(reader, vocab === undefined ? "--encoder" : "--vocab", encoder);
    const beside = (name: string): string => join(dirname(reader.file), name);
    const opened = await captionerOf(device, reader, {
      nameOf: beside,
      read: async (name) => (existsSync(beside(name)) ? attempt("read", beside(name), readFile(beside(name))) : null),
      ...(vocab !== undefined && { words: { bytes: await attempt("read", vocab, readFile(vocab)), name: vocab } }),
      wordsHint: "name the file with --vocab",
      openEncoder: () => openEncoder(encoder ?? "resnet50", reader.file),
    });
    return { ...opened, file, metadata: reader.metadata };
  } finally {
    await reader.close();
  }
}

/** @throws InputError for files that the captioner has no use for. */
function refuseNeedless(reader: CheckpointReader, option: string, encoder: string | undefined): void {
  if (isOwnCheckpoint(reader.metadata)) throw new InputError(`${option} is for published captioners; got ${reader.file}, a checkpoint with all that it needs`, "leave it out");
  if (encoder !== undefined && captionerIn(reader).system !== "storyteller") throw new InputError(`--encoder is for a storyteller, which works on features; got ${reader.file}, which has its own vision network`, "leave it out");
}

async function openEncoder(name: string, file: string): Promise<CheckpointReader> {
  const path = await resolveModel(name).catch((cause: unknown) => {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`${file} works on features of a picture: --encoder must name the ResNet-50 that they come from; got ${name}, which is neither a file nor pulled`, "get it with: sightline pull resnet50", { cause });
  });
  return openCheckpoint(path);
}

import { statSync } from "node:fs";
import { Captioner } from "../caption/captioner.ts";
import { loadSafetensors } from "../checkpoint/files.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import { readImage } from "../data/files.ts";
import type { Image } from "../data/image.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import { showFailure } from "./failure.ts";
import { findModel } from "./run-folder.ts";
import { withDevice } from "./session.ts";
import { note, print } from "./terminal.ts";

export interface CaptionOptions {
  readonly model?: string;
  readonly beam: number;
  readonly lengthPenalty: number;
  readonly json?: boolean;
  readonly adapter: AdapterPreference;
  readonly verbose?: boolean;
}

/** Pictures that are decoded before they are captioned: more would only fill the memory. */
const AT_A_TIME = 16;

/** `sightline caption`: 0 when every picture was captioned, 1 when some could not be. */
export async function caption(files: readonly string[], options: CaptionOptions): Promise<number> {
  const { beam, lengthPenalty, json = false, verbose = false } = options;
  const model = findModel(options.model);
  const checkpoint = await loadSafetensors(model);
  return withDevice(options.adapter, async (device) => {
    const captioner = await Captioner.fromCheckpoint(device, checkpoint, model);
    note(device.summary);
    note(`model ${model}`);
    let bad = 0;
    for (let first = 0; first < files.length; first += AT_A_TIME) {
      const read: { file: string; image: Image }[] = [];
      for (const file of files.slice(first, first + AT_A_TIME)) {
        try {
          read.push({ file, image: await readPicture(file) });
        } catch (error) {
          if (!(error instanceof SightlineError)) throw error;
          bad++;
          note(showFailure(error, verbose));
        }
      }
      const captions = await captioner.describe(read.map(({ image }) => image), { beam, lengthPenalty });
      captions.forEach(([{ text, score }], i) => {
        const { file } = read[i];
        print(json ? JSON.stringify({ file, caption: text, score: beam === 1 ? null : score, model }) : `${file}: ${text}`);
      });
    }
    captioner.dispose();
    return bad === 0 ? 0 : 1;
  });
}

async function readPicture(file: string): Promise<Image> {
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
    throw new InputError(`${file} must be a picture; got a folder`, `name the pictures in it, such as ${file.replace(/\/+$/, "")}/*.jpg`);
  }
  return readImage(file);
}

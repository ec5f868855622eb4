import { basename } from "node:path";
import { Captioner } from "../caption/captioner.ts";
import { evaluate } from "../caption/evaluate.ts";
import { loadSafetensors } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import type { PictureSet } from "../data/pictures.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import { findFolder, openFolder, parseChoice, reopen, type OpenedData } from "./data-choice.ts";
import { duration } from "./format.ts";
import type { EvaluatedSplit } from "./options.ts";
import { Progress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { findModel } from "./run-folder.ts";
import { scoringTerms, showScores } from "./scores.ts";
import { withDevice } from "./session.ts";
import { note, print } from "./terminal.ts";

export interface EvalOptions {
  readonly model?: string;
  readonly data?: string;
  /** Default: test, or all where another folder is given. */
  readonly split?: EvaluatedSplit;
  readonly beam: number;
  readonly lengthPenalty: number;
  readonly json?: boolean;
  readonly out?: string;
  readonly adapter: AdapterPreference;
}

/** `sightline eval`. */
export async function evaluateModel(options: EvalOptions, command: string): Promise<number> {
  const { beam, lengthPenalty } = options;
  const split = options.split ?? (options.data === undefined ? "test" : "all");
  const model = findModel(options.model);
  const checkpoint = await loadSafetensors(model);
  const progress = new Progress(process.stderr);
  try {
    return await withDevice(options.adapter, async (device) => {
      const captioner = await Captioner.fromCheckpoint(device, checkpoint, model);
      note(device.summary);
      note(`model ${model}`);
      const data = await openData(options.data, split, checkpoint.metadata.data, model, captioner.preprocessing, progress);
      progress.stop();
      note(data.summary);
      const notices = options.data !== undefined || data.remark === null ? [] : [data.remark];
      for (const line of [...data.warnings, ...notices]) note(`note: ${line}`);
      const set = setOf(data, split);

      const begun = performance.now();
      const { pictures, scores } = await evaluate(captioner, set, { beam, lengthPenalty }, (done, total) => progress.update("scoring", done, total, `${done} of ${total} pictures`));
      progress.stop();
      const seconds = (performance.now() - begun) / 1000;
      const terms = scoringTerms(scores, options.data === undefined && data.scoredOnTraining ? "the ones trained on" : split, beam);
      if (options.json) print(JSON.stringify({ model, data: data.source.name, split, beam, lengthPenalty, adapter: device.adapter, seconds, tokeniser: "lower case, without punctuation and symbols, split on white space", scores }));
      else {
        print(`scores of ${model}: ${terms}`);
        for (const line of showScores(scores)) print(line);
      }
      if (options.out !== undefined) {
        const shown = { name: data.title, summary: data.summary, set };
        await writeReport(options.out, { device, captioner, data: shown, pictures, scores, terms, notices, timings: [["scoring", `${duration(seconds)} for ${scores.images} pictures`], ["model", basename(model)]], command });
        note(`report ${options.out}`);
      }
      captioner.dispose();
      return 0;
    });
  } finally {
    progress.stop();
  }
}

/** The data set asked for, or the one that the model was trained with. */
async function openData(data: string | undefined, split: EvaluatedSplit, trainedWith: string | undefined, model: string, preprocessing: Preprocessing, progress: Progress): Promise<OpenedData> {
  const reading = (done: number, total: number): void => progress.update("reading pictures", done, total);
  if (data === undefined) {
    const choice = parseChoice(trainedWith, model);
    if (choice === null) throw new InputError(`${model} does not say which pictures it was trained with`, "name a folder of captioned pictures with --data");
    if (choice.kind === "folder" && split === "all") return openFolder(await findFolder(choice.folder, 0, choice.seed), preprocessing, reading);
    return reopen(choice, undefined, preprocessing, model, reading);
  }
  return openFolder(await findFolder(data, split === "all" ? 0 : "published", 0), preprocessing, reading);
}

function setOf({ source, choice }: OpenedData, split: EvaluatedSplit): PictureSet {
  if (split !== "all") return source[split];
  if (choice.kind === "folder") return source.train;
  throw new InputError("--split all needs a folder of pictures; got the embedded scenes, which have no end", "use train, validation or test");
}

import { basename } from "node:path";
import { openPictures, parseChoice, type OpenedData } from "../caption/data-choice.ts";
import { evaluate, type Evaluation } from "../caption/evaluate.ts";
import { TOKENIZER_NAMES, TOKENIZERS, type TokenizerName } from "../caption/scoring.ts";
import { writeFileAtomically } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import type { PictureSet } from "../data/pictures.ts";
import type { Preprocessing } from "../data/preprocess.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import { readSynonyms } from "../metrics/files.ts";
import { findFolder, reopen } from "./data-choice.ts";
import { decodingOf, showDecoding, type DecodingFlags } from "./decoding-options.ts";
import { evaluationTerms, evaluationWarnings, showAllLengths, showEvaluations } from "./evaluations.ts";
import { duration } from "../core/format.ts";
import { openCaptioner, type CaptionerFiles } from "./open-captioner.ts";
import type { EvaluatedSplit } from "./options.ts";
import { perImageCsv } from "./per-image.ts";
import { Progress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { withDevice } from "./session.ts";
import { note, print } from "./terminal.ts";

export interface EvalOptions extends DecodingFlags, CaptionerFiles {
  readonly model?: string;
  readonly data?: string;
  /** Default: test, or all where another folder is given. */
  readonly split?: EvaluatedSplit;
  /** Default: that of the model's recipe. */
  readonly tokenizer?: TokenizerName;
  readonly json?: boolean;
  /** With `json`: each image's caption and scores, too. */
  readonly perImage?: boolean;
  readonly csv?: string;
  readonly out?: string;
  readonly adapter: AdapterPreference;
}

/** `sightline eval`. */
export async function evaluateModel(options: EvalOptions, command: string): Promise<number> {
  const { json = false, perImage = false } = options;
  const asked = decodingOf(options);
  const split = options.split ?? (options.data === undefined ? "test" : "all");
  if (perImage && !json) throw new InputError("--per-image adds each image's scores to the JSON; got no --json", "add it, or write a table with --csv FILE");
  const synonyms = await readSynonyms();
  const progress = new Progress(process.stderr);
  try {
    return await withDevice(options.adapter, async (device) => {
      const { captioner, file: model, metadata } = await openCaptioner(device, options.model, { vocab: options.vocab, encoder: options.encoder });
      note(device.summary);
      note(`model ${model}`);
      const tokenizer = options.tokenizer ?? tokenizerOf(metadata.recipe);
      const decoding = captioner.decodingFor(asked);
      const data = await openData(options.data, split, metadata.data, model, captioner.preprocessing, progress);
      progress.stop();
      note(data.summary);
      const notices = options.data !== undefined || data.remark === null ? [] : [data.remark];
      for (const line of [...data.warnings, ...notices]) note(`note: ${line}`);
      const set = setOf(data, split);

      const begun = performance.now();
      const evaluations = await evaluate(captioner, set, { ...decoding, tokenizer, synonyms }, (done, total) => progress.update("captioning", done, total, `${done} of ${total} captions`));
      progress.stop();
      const seconds = (performance.now() - begun) / 1000;
      const captions = evaluations.flatMap(({ pictures, language }) => pictures.map((picture) => ({ ...picture, language })));
      const warnings = evaluationWarnings(evaluations, set.length);
      const terms = evaluationTerms(evaluations, options.data === undefined && data.scoredOnTraining ? "the ones trained on" : split, showDecoding(decoding));
      for (const line of warnings) note(`note: ${line}`);
      if (json) {
        const { beam = 1, lengthPenalty = 0.7 } = decoding;
        const made = { model, data: data.source.name, split, beam, lengthPenalty, decoding: showDecoding(decoding), tokeniser: TOKENIZERS[tokenizer].about, adapter: device.adapter, seconds };
        print(JSON.stringify({ ...made, notes: [...data.warnings, ...notices, ...warnings], ...resultsOf(evaluations, perImage) }));
      } else {
        print(`scores of ${model}: ${terms}`);
        for (const line of [...showEvaluations(evaluations), ...showAllLengths(evaluations)]) print(line);
      }
      if (options.csv !== undefined) {
        await writeFileAtomically(options.csv, [Buffer.from(perImageCsv(captions))]);
        note(`scores of each image ${options.csv}`);
      }
      if (options.out !== undefined) {
        const shown = { name: data.title, summary: data.summary, set };
        await writeReport(options.out, { device, captioner, data: shown, evaluations, terms, notices, timings: [["captions and scores", `${duration(seconds)} for ${captions.length}`], ["model", basename(model)]], command });
        note(`report ${options.out}`);
      }
      captioner.dispose();
      return 0;
    });
  } finally {
    progress.stop();
  }
}

/** How a model's recipe wants captions to be cut; into words where there is no recipe. */
function tokenizerOf(recipe: string | undefined): TokenizerName {
  const { scoring } = (recipe === undefined ? {} : JSON.parse(recipe)) as { readonly scoring?: { readonly tokenizer?: unknown } };
  return TOKENIZER_NAMES.find((name) => name === scoring?.tokenizer) ?? "words";
}

/** The scores as JSON has them: those of the captions, or a list with those of each language. */
function resultsOf(evaluations: readonly Evaluation[], perImage: boolean): object {
  const results = evaluations.map(({ language, scores, pictures }) => ({ language, scores, ...(perImage && { images: pictures.map(({ index: _, ids: __, ...picture }) => picture) }) }));
  if (evaluations.length > 1) return { languages: results };
  const [{ language, ...result }] = results;
  return language === null ? result : { language, ...result };
}

/** The data set asked for, or the one that the model was trained with. */
async function openData(data: string | undefined, split: EvaluatedSplit, trainedWith: string | undefined, model: string, preprocessing: Preprocessing, progress: Progress): Promise<OpenedData> {
  const reading = (done: number, total: number): void => progress.update("reading pictures", done, total);
  if (data === undefined) {
    const choice = parseChoice(trainedWith, model);
    if (choice === null) throw new InputError(`${model} does not say which pictures it was trained with`, "name a folder of captioned pictures with --data");
    if (choice.kind === "folder" && split === "all") return openPictures(await findFolder(choice.folder, 0, choice.seed), preprocessing, reading);
    return reopen(choice, undefined, preprocessing, model, reading);
  }
  return openPictures(await findFolder(data, split === "all" ? 0 : "published", 0), preprocessing, reading);
}

function setOf({ source, choice }: OpenedData, split: EvaluatedSplit): PictureSet {
  if (split !== "all") return source[split];
  if (choice.kind === "folder") return source.train;
  throw new InputError("--split all needs a folder of pictures; got the embedded scenes, which have no end", "use train, validation or test");
}

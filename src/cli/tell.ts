import type { Captioner } from "../caption/captioner.ts";
import { asStory } from "../caption/opened-captioner.ts";
import type { Caption, DescribeOptions } from "../caption/teller.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import { decodingOf, type DecodingFlags } from "./decoding-options.ts";
import { showFailure } from "./failure.ts";
import { counted } from "../core/format.ts";
import { openCaptioner, type CaptionerFiles } from "./open-captioner.ts";
import { withDevice } from "./session.ts";
import { findPictures, pictureBatches, type ReadPicture } from "./tell-pictures.ts";
import { TellingPrinter, type TellingFormat } from "./tell-output.ts";
import { note } from "./terminal.ts";

/** What is told of pictures: a caption each, or a story. */
export type TellingVerb = "caption" | "story";

export interface TellOptions extends DecodingFlags, CaptionerFiles {
  readonly model?: string;
  /** Texts for each picture. */
  readonly n: number;
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly recursive?: boolean;
  readonly adapter: AdapterPreference;
  readonly verbose?: boolean;
}

/** `sightline caption` and `sightline story`: 0 when something was said of every picture, 1 when some could not be read. */
export async function tell(verb: TellingVerb, names: readonly string[], options: TellOptions): Promise<number> {
  const { verbose = false } = options;
  const format = formatOf(options);
  const asked = requestOf(options);
  const pictures = await findPictures(names, options.recursive ?? false);
  let unread = 0;
  const refuse = (problem: SightlineError): void => {
    unread++;
    note(showFailure(problem, verbose));
  };
  if (pictures.every((picture) => "problem" in picture)) {
    for (const { problem } of pictures) refuse(problem);
    return 1;
  }
  return withDevice(options.adapter, async (device) => {
    const opened = await openCaptioner(device, options.model, options);
    const { captioner, file: model } = opened;
    note(device.summary);
    note(`model ${model}`);
    if (verb === "story" && !opened.tellsStories) note("note: this model learned captions, not stories: what it tells may end early or wander");
    const decoding = verb === "story" ? asStory(asked, opened) : asked;
    const printer = new TellingPrinter(format, { model, system: captioner.system }, process.stdout);
    const told: Caption[] = [];
    for await (const batch of pictureBatches(pictures, captioner.preprocessing, refuse)) {
      const piece = pictures.length === 1 && options.n === 1 ? printer.stream(batch[0].file) : undefined;
      const texts = await describe(captioner, batch, { ...decoding, ...(piece && { onText: (_: number, text: string) => piece(text) }) });
      texts.forEach((captions, i) => printer.print(batch[i].file, captions));
      told.push(...texts.flat());
    }
    for (const line of cutNotes(told)) note(line);
    captioner.dispose();
    return unread === 0 ? 0 : 1;
  });
}

function formatOf({ json = false, csv = false }: TellOptions): TellingFormat {
  if (json && csv) throw new InputError("texts are printed in one format; got --json and --csv", "leave one of them out");
  return json ? "json" : csv ? "csv" : "lines";
}

/** What is asked of the captioner. @throws InputError for options that exclude each other. */
function requestOf(options: TellOptions): DescribeOptions {
  const decoding = decodingOf(options);
  const { n: candidates, beam } = options;
  if (beam !== undefined && candidates > beam && decoding.sampling === undefined) {
    throw new InputError(`--n must be at most the beam, whose best texts it prints; got --n ${candidates} and --beam ${beam}`, "widen the beam, or draw words with --temperature 1");
  }
  return { ...decoding, candidates };
}

function describe(captioner: Captioner, batch: readonly ReadPicture[], options: DescribeOptions): Promise<(readonly Caption[])[]> {
  const { size } = captioner.preprocessing;
  const data = new Float32Array(batch.length * 3 * size * size);
  batch.forEach(({ pixels }, i) => data.set(pixels, i * pixels.length));
  return captioner.describeBatch({ shape: [batch.length, 3, size, size], data }, options);
}

/** What to know of texts that did not end by themselves. */
function cutNotes(told: readonly Caption[]): string[] {
  const cut = (ended: Caption["ended"]): string => `${told.filter((caption) => caption.ended === ended).length} of ${counted(told.length, "text")}`;
  const has = (ended: Caption["ended"]): boolean => told.some((caption) => caption.ended === ended);
  return [
    ...(has("length") ? [`note: ${cut("length")} ended at the most words allowed (--max-length allows more)`] : []),
    ...(has("room") ? [`note: ${cut("room")} ended where the model has no room for more words`] : []),
  ];
}

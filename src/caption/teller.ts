import { InputError } from "../core/errors.ts";
import { number, oneOf, record, whole, withDefault, type Reader } from "../core/schema.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { TextCodec } from "../data/text-codec.ts";
import type { Device } from "../device/device.ts";
import { fromPictures, type CaptionModel } from "./caption-model.ts";
import { beamDecoder, wordByWordDecoder, type SequenceDecoder } from "./decode.ts";

/** How texts are made. What is not given is as the captioner's own {@link DecodingDefaults} say, and else as it stands here. */
export interface DescribeOptions {
  /** Texts that are followed at a time; 1 takes the likeliest word each time. Default 1, or as many as there are candidates. */
  readonly beam?: number;
  /** Exponent of the length in beam scores; larger favours longer texts. Default 0.7. */
  readonly lengthPenalty?: number;
  /** What happens in a beam when a text ends, see `BeamOptions.rule`. Default `full`. */
  readonly beamRule?: "narrow" | "full";
  /** Draws words by chance instead; without a beam. */
  readonly sampling?: SamplingOptions;
  /** Texts for each picture, the best first: at most as many as the beam is wide, where there is one. Default 1. */
  readonly candidates?: number;
  /** Most words, the end word included. Default: what the captioner was made for. */
  readonly maxLength?: number;
  /** The text may not end before so many words. Default 0. */
  readonly minLength?: number;
  /** No sequence of so many words is said twice. Default 0: no rule. */
  readonly noRepeatNgram?: number;
  /** Above 1: words that were said become less likely. Default 1. */
  readonly repetitionPenalty?: number;
  /** The language to speak, by its tag, such as `<de>`. Default: the first that the captioner knows. */
  readonly language?: string;
  /** Called with each piece of text as it comes; without a beam, where one text is made for each picture. */
  readonly onText?: (picture: number, text: string) => void;
}

/** How a captioner makes texts where nothing else is asked for: published ones have settings of their own. */
export type DecodingDefaults = Pick<DescribeOptions, "beam" | "lengthPenalty" | "beamRule" | "sampling" | "minLength" | "noRepeatNgram" | "repetitionPenalty">;

export interface SamplingOptions {
  /** Divides the logits: below 1 nearer to the likeliest word, above 1 freer. Default 1. */
  readonly temperature?: number;
  /** Only so many of the likeliest words; 0 for all. */
  readonly topK?: number;
  /** Only the likeliest words that together have this probability. */
  readonly topP?: number;
  /** The same seed draws the same texts. Default 0. */
  readonly seed?: number;
}

const optional = <T>(reader: Reader<T>): Reader<T | undefined> => withDefault<T | undefined>(reader, undefined);
const penalty = optional(number(0, 1000));
const count = optional(whole(0, 2 ** 16));

/** Reads {@link DecodingDefaults} from JSON. */
export const decodingDefaults: Reader<DecodingDefaults> = record<DecodingDefaults>({
  beam: optional(whole(1, 128)),
  lengthPenalty: optional(number(-1000, 1000)),
  beamRule: optional(oneOf("narrow", "full")),
  sampling: optional(record<SamplingOptions>({ temperature: penalty, topK: optional(whole(0)), topP: optional(number(0, 1)), seed: optional(whole(0, 2 ** 32 - 1)) })),
  minLength: count,
  noRepeatNgram: count,
  repetitionPenalty: penalty,
});

/**
 * The options with the captioner's defaults where nothing was asked for: whoever asks for a beam draws nothing, and whoever
 * draws has no beam.
 */
export function withDefaults<T extends DescribeOptions>(options: T, defaults: DecodingDefaults): T {
  const asked = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
  const { beam, sampling, ...rules } = defaults;
  if (asked.sampling !== undefined && sampling !== undefined) {
    const drawn = Object.entries(asked.sampling).filter(([, value]) => value !== undefined);
    return { ...rules, ...asked, sampling: { ...sampling, ...Object.fromEntries(drawn) } };
  }
  const way = asked.beam !== undefined || asked.sampling !== undefined ? {} : sampling !== undefined ? { sampling } : { beam: Math.max(beam ?? 1, asked.candidates ?? 1) };
  return { ...rules, ...way, ...asked };
}

/** A text for one picture. */
export interface Caption {
  readonly text: string;
  /** Σ log p of its words, divided by length^lengthPenalty under beam search. */
  readonly score: number;
  /** Why it ends: by its end word, at the most words that were allowed, or where the model's context is full. */
  readonly ended: "end" | "length" | "room";
  readonly ids: readonly number[];
}

/** Sets of options whose decoders are kept; of more, the one used longest ago is given back. */
const KEPT = 8;

/** Makes texts for pictures, one call after the other. A decoder is kept for each set of options. */
export class Teller {
  private readonly device: Device;
  private readonly model: CaptionModel;
  private readonly codec: TextCodec;
  private readonly maxLength: number;
  private readonly decoders = new Map<string, SequenceDecoder>();
  private turn: Promise<unknown> = Promise.resolve();
  private onWord: ((row: number, word: number, candidate: number) => void) | null = null;

  constructor(device: Device, model: CaptionModel, codec: TextCodec, maxLength: number) {
    this.device = device;
    this.model = model;
    this.codec = codec;
    this.maxLength = maxLength;
  }

  /**
   * Texts for normalised pictures [B, 3, size, size].
   * @throws InputError for options that exclude each other, or a language that the vocabulary has no tag for.
   */
  tell(pictures: HostInput, options: DescribeOptions): Promise<(readonly Caption[])[]> {
    const told = this.turn.then(() => this.tellNow(pictures, options));
    this.turn = told.catch(() => undefined);
    return told;
  }

  private async tellNow(pictures: HostInput, options: DescribeOptions): Promise<(readonly Caption[])[]> {
    const { candidates = 1 } = options;
    const onText = candidates === 1 ? options.onText : undefined;
    const streams = onText && Array.from({ length: pictures.shape[0] }, () => this.codec.stream());
    this.onWord = onText === undefined ? null : (row, word, candidate) => {
      if (candidate > 0) return; // one text at a time can be watched
      const added = streams![row].push(word);
      if (added !== "") onText(row, added);
    };
    const hypotheses = await this.decoder(options).decode(pictures);
    return hypotheses.map((texts) => texts.slice(0, candidates).map(({ ids, score, ended }) => ({ text: this.codec.decode(ids), score, ended, ids })));
  }

  dispose(): void {
    for (const decoder of this.decoders.values()) decoder.dispose();
    this.decoders.clear();
  }

  private decoder({ onText: _, ...options }: DescribeOptions): SequenceDecoder {
    const key = JSON.stringify(options);
    const decoder = this.decoders.get(key) ?? this.makeDecoder(options);
    this.decoders.delete(key);
    this.decoders.set(key, decoder);
    const [[oldest, unused]] = this.decoders;
    if (this.decoders.size > KEPT) {
      unused.dispose();
      this.decoders.delete(oldest);
    }
    return decoder;
  }

  private makeDecoder(options: DescribeOptions): SequenceDecoder {
    const { beam = 1, lengthPenalty = 0.7, sampling, candidates = 1, maxLength = this.maxLength, language } = options;
    if (beam > 1 && sampling !== undefined) throw new InputError(`describe: a beam follows the likeliest texts and draws none; got a beam of ${beam} and sampling`, "leave one of them out");
    if (beam > 1 && candidates > beam) throw new InputError(`describe: a beam of ${beam} finds at most ${beam} texts; got ${candidates} candidates`, "widen the beam");
    if (beam === 1 && candidates > 1 && sampling === undefined) throw new InputError(`describe: the likeliest words make one text; got ${candidates} candidates`, "use a beam, or sampling");
    const text = fromPictures(this.model, maxLength, givenWords(this.codec, language));
    const rules = { maxLength, end: this.codec.end, minLength: options.minLength, noRepeatNgram: options.noRepeatNgram, repetitionPenalty: options.repetitionPenalty };
    if (beam > 1) return beamDecoder(this.device, text, { ...rules, width: beam, alpha: lengthPenalty, rule: options.beamRule ?? "full" });
    const { seed = 0, ...filters } = sampling ?? {};
    return wordByWordDecoder(this.device, text, {
      ...rules,
      ...(sampling && { sampling: { ...filters, seed }, candidates }),
      onWord: (row, word, candidate) => this.onWord?.(row, word, candidate),
    });
  }
}

/**
 * The ids before a text's first word: start, and the tag of the language.
 * @param asked Default: the first language that the codec knows.
 * @throws InputError if it knows no such language.
 */
export function givenWords(codec: TextCodec, asked?: string): readonly number[] {
  const { start, languages } = codec;
  const language = asked ?? languages.at(0);
  if (language === undefined) return [start];
  const [tag] = languages.includes(language) ? codec.encode(`${language} `) : [];
  if (tag !== undefined) return [start, tag];
  throw new InputError(`the language must be ${languages.length === 0 ? "left out, as this captioner knows one alone" : `one of ${languages.join(", ")}`}; got ${asked}`);
}

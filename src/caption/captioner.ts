import { matchKeys } from "../checkpoint/matching.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { decodeMetadata, encodeMetadata, type TrainerState } from "../checkpoint/training-state.ts";
import { CheckpointError } from "../core/errors.ts";
import type { HostInput, HostTensor } from "../core/host-tensor.ts";
import { Generator, type GeneratorState } from "../core/rng.ts";
import type { Image } from "../data/image.ts";
import { parsePreprocessing, preprocess, requireSquare, type Preprocessing } from "../data/preprocess.ts";
import { END, Vocabulary } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import { beamDecoder, wordByWordDecoder, type SequenceDecoder } from "./decode.ts";
import { parseStorytellerConfig, Storyteller, type StorytellerConfig } from "./storyteller.ts";

const SYSTEM = "storyteller";

/** Tensors of a checkpoint that belong to the optimiser. */
export const OPTIMIZER_PREFIX = "optimizer.";

/** Pictures that are captioned at a time. */
const BATCH = 16;

/** A model with all it needs to caption pictures: how to read them, its words, how long a caption may be. */
export interface CaptionerConfig {
  readonly model: StorytellerConfig;
  /** Most words of a caption, the end word included. */
  readonly maxLength: number;
}

/** A caption for one picture. */
export interface Caption {
  readonly text: string;
  /** Σ log p / length^alpha under beam search; 0 under greedy decoding. */
  readonly score: number;
}

export interface DescribeOptions {
  /** Captions that are followed at a time; 1 is greedy decoding. Default 1. */
  readonly beam?: number;
  /** Exponent of the length in beam scores. Default 0.7. */
  readonly lengthPenalty?: number;
}

/**
 * Captions pictures.
 *
 * @example
 * const captioner = Captioner.fromCheckpoint(device, await loadSafetensors("runs/scenes/best.safetensors"), "best.safetensors");
 * const [caption] = await captioner.describe([await readImage("picture.jpg")]);
 */
export class Captioner {
  readonly device: Device;
  readonly config: CaptionerConfig;
  readonly vocabulary: Vocabulary;
  readonly preprocessing: Preprocessing;
  readonly model: Storyteller;
  private readonly decoders = new Map<string, SequenceDecoder>();

  /** A captioner with initial weights drawn from the seed. @throws InputError if the preprocessing gives pictures of any shape. */
  constructor(device: Device, config: CaptionerConfig, vocabulary: Vocabulary, preprocessing: Preprocessing, seed: number) {
    requireSquare(preprocessing, "Captioner");
    this.device = device;
    this.config = config;
    this.vocabulary = vocabulary;
    this.preprocessing = preprocessing;
    this.model = new Storyteller({ device, generator: new Generator(seed) }, config.model);
  }

  /**
   * The captioner of a checkpoint.
   * @param name The file, for error messages.
   * @throws CheckpointError if the file is no checkpoint of this system, or its tensors don't fit its configuration.
   */
  static fromCheckpoint(device: Device, file: SafetensorsFile, name: string): Captioner {
    const metadata = decodeMetadata(file.metadata, name);
    if (metadata.system !== SYSTEM) {
      throw new CheckpointError(`${name}: expected a checkpoint of the system "${SYSTEM}"; got one of "${metadata.system}"`, "choose another file with --model");
    }
    const captioner = new Captioner(device, parseConfig(metadata.config, name), Vocabulary.fromJson(metadata.vocabulary), parsePreprocessing(metadata.preprocessing, name), 0);
    captioner.load(file.tensors, name);
    return captioner;
  }

  /** Replaces the weights. @throws CheckpointError that lists what is missing, unexpected or misshapen. */
  load(tensors: ReadonlyMap<string, HostTensor>, name: string): void {
    const expected = new Map(this.model.namedTensors().map(([key, { shape }]) => [key, shape]));
    const found = new Map([...tensors].map(([key, { shape }]) => [key, shape]));
    const { assemblies } = matchKeys(expected, found, { ignore: [new RegExp(`^${OPTIMIZER_PREFIX}`)], file: name });
    this.model.loadStateDict(new Map([...assemblies].map(([key, { pieces }]) => [key, tensors.get(pieces[0])!])));
  }

  /** What a checkpoint says beside the tensors. */
  metadata(trainer?: TrainerState, random?: readonly GeneratorState[]): Record<string, string> {
    return encodeMetadata({
      system: SYSTEM,
      config: this.config,
      vocabulary: this.vocabulary.toJSON(),
      preprocessing: this.preprocessing,
      ...(trainer === undefined ? {} : { trainer, random }),
    });
  }

  /** One caption a picture, in order. */
  async describe(images: readonly Image[], options: DescribeOptions = {}): Promise<Caption[]> {
    const { size } = this.preprocessing;
    const captions: Caption[] = [];
    for (let first = 0; first < images.length; first += BATCH) {
      const batch = images.slice(first, first + BATCH);
      const data = new Float32Array(batch.length * 3 * size * size);
      batch.forEach((image, i) => data.set(preprocess(image, this.preprocessing), i * 3 * size * size));
      captions.push(...(await this.describeBatch({ shape: [batch.length, 3, size, size], data }, options)));
    }
    return captions;
  }

  /** Captions of normalised pictures [B, 3, size, size]. */
  async describeBatch(pictures: HostInput, { beam = 1, lengthPenalty = 0.7 }: DescribeOptions = {}): Promise<Caption[]> {
    this.model.eval();
    const hypotheses = await this.decoder(beam, lengthPenalty).decode(pictures);
    return hypotheses.map(([best]) => ({ text: this.vocabulary.decode(best.ids), score: best.score }));
  }

  /** Gives the memory of the model and its recordings back. */
  dispose(): void {
    for (const decoder of this.decoders.values()) decoder.dispose();
    this.decoders.clear();
    this.model.dispose();
  }

  private decoder(beam: number, lengthPenalty: number): SequenceDecoder {
    const key = beam === 1 ? "greedy" : `${beam} ${lengthPenalty}`;
    let decoder = this.decoders.get(key);
    if (decoder === undefined) {
      const { maxLength } = this.config;
      decoder = beam === 1 ? wordByWordDecoder(this.device, this.model.text(), { maxLength, end: END }) : beamDecoder(this.device, this.model.text(), { width: beam, maxLength, alpha: lengthPenalty, end: END, rule: "narrow" });
      this.decoders.set(key, decoder);
    }
    return decoder;
  }
}

function parseConfig(value: unknown, name: string): CaptionerConfig {
  const { model, maxLength } = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof CaptionerConfig, unknown>>;
  if (!Number.isInteger(maxLength) || (maxLength as number) < 1) {
    throw new CheckpointError(`${name}: the config's maxLength must be a whole number of words; got ${JSON.stringify(maxLength)}`, "the checkpoint is damaged; use an earlier one");
  }
  return { model: parseStorytellerConfig(model, name), maxLength: maxLength as number };
}

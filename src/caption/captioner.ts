import { DeviceGenerator } from "../autograd/random.ts";
import { OWN_NAMES } from "../checkpoint/layout.ts";
import { pairKeys, shapesOf } from "../checkpoint/pairing.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { decodeMetadata, encodeMetadata, type TrainerState } from "../checkpoint/training-state.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import type { HostInput, HostTensor } from "../core/host-tensor.ts";
import { Generator, type GeneratorState } from "../core/rng.ts";
import { record, whole, withDefault, type Reader } from "../core/schema.ts";
import type { Image } from "../data/image.ts";
import { parsePreprocessing, preprocess, requireSquare, type Preprocessing } from "../data/preprocess.ts";
import { codecFromJson, type TextCodec } from "../data/text-codec.ts";
import type { Device } from "../device/device.ts";
import type { CaptionModel } from "./caption-model.ts";
import { checkpointFingerprint } from "./fingerprint.ts";
import { buildModel, modelConfig, type ModelConfig, type SystemName } from "./systems.ts";
import { decodingDefaults, Teller, withDefaults, type Caption, type DecodingDefaults, type DescribeOptions } from "./teller.ts";

/** Tensors of a checkpoint that belong to the optimiser. */
export const OPTIMIZER_PREFIX = "optimizer.";

/** Pictures that are captioned at a time. */
const BATCH = 16;

/** What a captioner is made of, beside its vocabulary and the way it reads pictures. */
export interface CaptionerConfig {
  readonly model: ModelConfig;
  /** Most words of a text where nothing else is asked for, the end word included. */
  readonly maxLength: number;
  /** How texts are made where nothing else is asked for. */
  readonly decoding?: DecodingDefaults;
}

/** What stands beside the tensors in a checkpoint that can be trained on. */
export interface TrainingMetadata {
  readonly recipe: unknown;
  /** Absent from a checkpoint that is for captioning alone. */
  readonly trainer?: TrainerState;
  readonly random?: readonly GeneratorState[];
}

const captionerConfig: Reader<CaptionerConfig> = record<CaptionerConfig>({ model: modelConfig, maxLength: whole(1, 2 ** 20), decoding: withDefault<DecodingDefaults | undefined>(decodingDefaults, undefined) });

/**
 * Says what pictures show: a model with all it needs (how to read pictures, its words, how long a text may be).
 *
 * @example
 * const captioner = await Captioner.fromCheckpoint(device, await loadSafetensors("runs/scenes/best.safetensors"), "best.safetensors");
 * const [[best]] = await captioner.describe([await readImage("picture.jpg")]);
 * console.log(best.text);
 */
export class Captioner {
  readonly device: Device;
  readonly config: CaptionerConfig;
  readonly codec: TextCodec;
  readonly preprocessing: Preprocessing;
  readonly model: CaptionModel;
  /** Draws what dropout drops. */
  readonly random: DeviceGenerator;
  private readonly teller: Teller;

  /** @throws InputError if the preprocessing gives pictures of any shape. */
  constructor(model: CaptionModel, config: CaptionerConfig, codec: TextCodec, preprocessing: Preprocessing, random: DeviceGenerator) {
    requireSquare(preprocessing, "Captioner");
    this.device = random.device;
    this.config = config;
    this.codec = codec;
    this.preprocessing = preprocessing;
    this.model = model;
    this.random = random;
    this.teller = new Teller(this.device, model, codec, config.maxLength);
  }

  /** A captioner with initial weights drawn from the seed. */
  static make(device: Device, config: CaptionerConfig, codec: TextCodec, preprocessing: Preprocessing, seed: number): Captioner {
    const random = new DeviceGenerator(device, seed);
    return new Captioner(buildModel({ device, generator: new Generator(seed), random }, config.model), config, codec, preprocessing, random);
  }

  /**
   * The captioner of a checkpoint that this library wrote.
   * @param name The file, for error messages.
   * @throws CheckpointError if the file is no such checkpoint, its parts don't belong together, or its tensors don't fit its configuration.
   */
  static async fromCheckpoint(device: Device, file: SafetensorsFile, name: string): Promise<Captioner> {
    const metadata = decodeMetadata(file.metadata, name);
    const config = readConfig(metadata.config, name);
    const codec = await codecFromJson(metadata.vocabulary, name);
    const expected = checkpointFingerprint(config, codec, metadata.preprocessing);
    if (metadata.fingerprint !== expected) {
      throw new CheckpointError(`${name}: configuration, vocabulary and preprocessing must be the ones that were saved together, with the fingerprint ${expected}; got ${metadata.fingerprint ?? "none"}`, "one of them was changed or exchanged; use the file as it was written");
    }
    const captioner = Captioner.make(device, config, codec, parsePreprocessing(metadata.preprocessing, name), 0);
    try {
      captioner.load(file.tensors, name);
    } catch (error) {
      captioner.dispose();
      throw error;
    }
    if (metadata.random !== undefined) [captioner.random.state] = metadata.random;
    return captioner;
  }

  get system(): SystemName {
    return this.config.model.system;
  }

  /** Replaces the weights. @throws CheckpointError that lists what is missing, unexpected or misshapen. */
  load(tensors: ReadonlyMap<string, HostTensor>, name: string): void {
    const expected = shapesOf(new Map(this.model.namedTensors()));
    const { assemblies } = pairKeys(expected, shapesOf(tensors), { layout: OWN_NAMES, prefix: "" }, { ignore: [new RegExp(`^${OPTIMIZER_PREFIX}`)], file: name });
    this.model.loadStateDict(new Map([...assemblies].map(([key, { pieces }]) => [key, tensors.get(pieces[0])!])));
  }

  /** What a checkpoint says beside the tensors. */
  metadata(training?: TrainingMetadata): Record<string, string> {
    return encodeMetadata({
      system: this.system,
      config: this.config,
      vocabulary: this.codec.toJSON(),
      preprocessing: this.preprocessing,
      fingerprint: checkpointFingerprint(this.config, this.codec, this.preprocessing),
      ...training,
    });
  }

  /** The options with this captioner's own settings where nothing is asked for: how {@link describe} makes texts. */
  decodingFor(options: DescribeOptions): DescribeOptions {
    return withDefaults(options, this.config.decoding ?? {});
  }

  /** Texts for each picture, the best first: one, or as many as are asked for. */
  async describe(images: readonly Image[], options: DescribeOptions = {}): Promise<(readonly Caption[])[]> {
    const { size } = this.preprocessing;
    const captions: (readonly Caption[])[] = [];
    for (let first = 0; first < images.length; first += BATCH) {
      const batch = images.slice(first, first + BATCH);
      const data = new Float32Array(batch.length * 3 * size * size);
      batch.forEach((image, i) => data.set(preprocess(image, this.preprocessing), i * 3 * size * size));
      const ofBatch = { ...options, ...(options.onText && { onText: (row: number, text: string) => options.onText!(first + row, text) }) };
      captions.push(...(await this.describeBatch({ shape: [batch.length, 3, size, size], data }, ofBatch)));
    }
    return captions;
  }

  /** Texts for normalised pictures [B, 3, size, size]. */
  async describeBatch(pictures: HostInput, options: DescribeOptions = {}): Promise<(readonly Caption[])[]> {
    this.model.eval();
    return this.teller.tell(pictures, this.decodingFor(options));
  }

  /** Gives the memory of the model and its recordings back. */
  dispose(): void {
    this.teller.dispose();
    this.model.dispose();
  }
}

function readConfig(value: unknown, name: string): CaptionerConfig {
  try {
    return captionerConfig(value, "");
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new CheckpointError(`${name}: in the configuration ${error.message}`, "the checkpoint is damaged, or of another version; use another one", { cause: error });
  }
}

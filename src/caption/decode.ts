import type { DeviceGenerator } from "../autograd/random.ts";
import { recorded, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import { full, Tensor, tensor } from "../autograd/tensor.ts";
import { add, appendWords, argmax, assign, concat, equal, filterLogits, gather, indexSelect, logSoftmax, reshape, sampleFrom, topK, where, type BanSettings, type SamplingSettings } from "../autograd/ops/index.ts";
import { dtypeOf, storageBytes, type TypedArray } from "../core/dtype.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import type { HostInput } from "../core/host-tensor.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import { BeamSearch, type BeamOptions, type Candidate, type Hypothesis } from "./beam.ts";
import type { TextModel, TextState } from "./text-model.ts";

/** Shapes of inputs whose recordings and states are kept; of more, those used longest ago are given back. */
const SHAPES = 8;

const CAUSES = "the weights are damaged, an input is NaN, or a text is longer than the model allows";

/** Words that are computed ahead while those before travel to the host; so many are wasted at the end of a text. */
const AHEAD = 3;

/** Texts for batches of inputs; the pipelines are compiled at the first batch of a shape. */
export interface SequenceDecoder {
  /**
   * The best texts for each row of the inputs [B, ...], the best first; without beam search, one. Calls are served one after
   * the other.
   * @throws InputError without inputs. @throws SightlineError if the model gives NaN instead of logits.
   */
  decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]>;
  dispose(): void;
}

/** What keeps a text from repeating itself, and from ending too soon. */
interface Rules extends Pick<BanSettings, "noRepeatNgram"> {
  /** The end word may not come before so many others, those that were given not counted. Default 0. */
  readonly minLength?: number;
  /** Divides the logits of words said before (multiplies negative ones): above 1, fewer repetitions. Default 1. */
  readonly repetitionPenalty?: number;
}

export interface WordByWordOptions extends Rules {
  /** Most words, the end word included. */
  readonly maxLength: number;
  readonly end: number;
  /** Draws the words, instead of taking the likeliest each time. */
  readonly sampling?: Omit<SamplingSettings, "repetitionPenalty"> & { readonly generator: DeviceGenerator };
  /** Called with each word as it comes, for each text that goes on. */
  readonly onWord?: (row: number, word: number) => void;
}

/**
 * One text for each input: always the likeliest word, or words drawn by chance. Scores are 0.
 *
 * One recording runs the inputs and the first word, a second one every word after it: nothing waits for the host, which
 * reads the words a few steps later.
 * @throws InputError for a maxLength below 1.
 */
export function wordByWordDecoder(device: Device, model: TextModel, options: WordByWordOptions): SequenceDecoder {
  requireCount("wordByWordDecoder", "maxLength", options.maxLength);
  return byShape((batch) => new WordByWord(device, model, options, batch));
}

export interface BeamDecoderOptions extends BeamOptions, Rules {}

/**
 * The `width` likeliest texts are followed at a time, for all inputs of a batch together. The states stay on the device; of
 * each word's log-probabilities only the best are read back.
 * @throws InputError for a width or maxLength below 1, or an alpha that is no number.
 */
export function beamDecoder(device: Device, model: TextModel, options: BeamDecoderOptions): SequenceDecoder {
  requireCount("beamDecoder", "width", options.width);
  requireCount("beamDecoder", "maxLength", options.maxLength);
  if (!Number.isFinite(options.alpha)) throw new InputError(`beamDecoder: alpha must be a number; got ${options.alpha}`);
  return byShape((batch) => new BeamByBeam(device, model, options, batch));
}

function requireCount(what: string, field: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) throw new InputError(`${what}: ${field} must be a whole number of at least 1; got ${value}`);
}

/** A decoder for each set of shapes of the inputs: their recordings keep states of their own. */
function byShape(make: (batch: number) => SequenceDecoder): SequenceDecoder {
  const decoders = new Map<string, SequenceDecoder>(); // the one used longest ago first
  let queue: Promise<unknown> = Promise.resolve();
  const decode: SequenceDecoder["decode"] = (...inputs) => {
    if (inputs.length === 0) throw new InputError("decode: a decoder needs the inputs of its model; got none");
    const key = inputs.map(({ shape, data }) => `${dtypeOf(data)}${showShape(shape)}`).join();
    const decoder = decoders.get(key) ?? make(inputs[0].shape[0]);
    decoders.delete(key);
    decoders.set(key, decoder);
    const [[oldest, unused]] = decoders;
    if (decoders.size > SHAPES) {
      unused.dispose();
      decoders.delete(oldest);
    }
    return decoder.decode(...inputs);
  };
  return {
    decode(...inputs) {
      const decoded = queue.then(() => decode(...inputs));
      queue = decoded.catch(() => undefined);
      return decoded;
    },
    dispose() {
      for (const decoder of decoders.values()) decoder.dispose();
      decoders.clear();
    },
  };
}

/** The words of each text so far: i32 [R, T], of which lengths i32 [R] count. */
interface Said {
  readonly said: Tensor;
  readonly lengths: Tensor;
}

/** Logits with what the rules forbid taken out. */
function ruled(logits: Tensor, { said, lengths }: Said, given: number, end: number, settings: SamplingSettings, rules: Rules): Tensor {
  const { repetitionPenalty = 1, noRepeatNgram = 0, minLength = 0 } = rules;
  const bans = { noRepeatNgram, minLength: minLength > 0 ? given + minLength : 0, end };
  return filterLogits(logits, { settings: { ...settings, repetitionPenalty }, said, lengths, bans });
}

/** The likeliest word of each row, −1 where there is NaN, which argmax takes for the greatest. logits [R, V] → i32 [R]. */
function likeliest(logits: Tensor): Tensor {
  const words = argmax(logits);
  const chosen = reshape(gather(logits, 1, reshape(words, [words.size, 1])), [words.size]);
  return where(equal(chosen, chosen), words, full(logits.device, [1], -1, "i32"));
}

/** What lives from one step to the next: the model's state, and what was said. */
class Held implements Said {
  readonly said: Tensor;
  readonly lengths: Tensor;
  /** The last word of each text, i32 [R]. */
  readonly last: Tensor;
  private readonly state: TextState;

  /**
   * Keeps a state for `width` texts from each row, and makes room for more words; part of the recording that begins.
   * @param given i32 [B, P].
   */
  constructor(begun: TextState, given: Tensor, width: number, maxLength: number) {
    const { device, shape: [batch, words] } = given;
    const rows = tensor(device, Int32Array.from({ length: batch * width }, (_, i) => Math.floor(i / width)), [batch * width]);
    const hold = (part: Tensor): Tensor => {
      const wide = width === 1 ? part : indexSelect(part, 0, rows);
      const held = new Tensor(device, wide.shape, wide.dtype, device.allocatePersistent(storageBytes(sizeOf(wide.shape), wide.dtype, device.limits.emulateF16), "state of a text"));
      assign(held, wide);
      return held;
    };
    this.state = { own: begun.own.map(hold), shared: begun.shared.map(hold) };
    this.said = hold(concat([given, full(device, [batch, maxLength], 0, "i32")], 1));
    this.lengths = hold(full(device, [batch], words, "i32"));
    this.last = hold(full(device, [batch], 0, "i32"));
  }

  /** Runs the model on the next words [R] i32; they join what was said. → logits [R, V]. */
  next(model: TextModel, words: Tensor): Tensor {
    appendWords(this.said, this.lengths, words);
    const { logits, state } = model.next(words, this.state);
    state.own.forEach((part, i) => {
      if (part.storage !== this.state.own[i].storage) assign(this.state.own[i], part);
    });
    return logits;
  }

  /** Each text goes on from the state of its parent, [R] i32. */
  follow(parents: Tensor): void {
    for (const part of [...this.state.own, this.said, this.lengths]) assign(part, indexSelect(part, 0, parents));
  }

  dispose(): void {
    const { own, shared } = this.state;
    for (const part of [...own, ...shared, this.said, this.lengths, this.last]) part.dispose();
  }
}

class WordByWord implements SequenceDecoder {
  private readonly options: WordByWordOptions;
  private readonly start: RecordedStep<{ words: Tensor }>;
  private readonly advance: RecordedStep<{ words: Tensor }>;
  private readonly batch: number;
  private held: Held | null = null;

  constructor(device: Device, model: TextModel, options: WordByWordOptions, batch: number) {
    const { maxLength, end, sampling } = options;
    let given = 0;
    const choose = (logits: Tensor): { words: Tensor } => {
      const left = ruled(logits, this.held!, given, end, sampling ?? {}, options);
      const words = sampling === undefined ? likeliest(left) : sampleFrom(left, sampling.generator);
      assign(this.held!.last, words);
      return { words };
    };
    this.options = options;
    this.batch = batch;
    this.start = recorded(device, "first word", (...inputs) =>
      noGrad(() => {
        const { logits, state, said } = model.begin(...inputs);
        given = said.shape[1];
        this.held?.dispose(); // of a recording that is made again
        this.held = new Held(state, said, 1, maxLength);
        return choose(logits);
      }),
    );
    this.advance = recorded(device, "next word", () => noGrad(() => choose(this.held!.next(model, this.held!.last))));
  }

  async decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]> {
    const { maxLength, end, onWord } = this.options;
    const texts: number[][] = Array.from({ length: this.batch }, () => []);
    const goesOn = (text: readonly number[]): boolean => text.at(-1) !== end;
    const read = ({ words }: { words: Tensor }): Promise<TypedArray> => {
      const reading = words.read();
      reading.catch(() => undefined); // what it throws is thrown where it is awaited, unless something else fails before
      return reading;
    };
    const coming = [read(await this.start.run(...inputs))];
    for (let length = 1; coming.length > 0; ) {
      while (length < maxLength && coming.length <= AHEAD && texts.some(goesOn)) {
        coming.push(read(await this.advance.run()));
        length++;
      }
      const words = await coming.shift()!;
      texts.forEach((text, row) => {
        if (!goesOn(text)) return;
        if (words[row] < 0) throw new SightlineError(`wordByWordDecoder: the logits must leave a word to choose; got NaN, or −Inf alone, for text ${row}`, CAUSES);
        text.push(words[row]);
        onWord?.(row, words[row]);
      });
    }
    return texts.map((ids) => [{ ids, score: 0 }]);
  }

  dispose(): void {
    this.start.dispose();
    this.advance.dispose();
    this.held?.dispose();
  }
}

class BeamByBeam implements SequenceDecoder {
  private readonly options: BeamDecoderOptions;
  private readonly start: RecordedStep<{ sums: Tensor; places: Tensor }>;
  private readonly advance: RecordedStep<{ sums: Tensor; places: Tensor }>;
  private readonly batch: number;
  private vocabulary = 0;
  private held: Held | null = null;

  constructor(device: Device, model: TextModel, options: BeamDecoderOptions, batch: number) {
    const { width, maxLength, end } = options;
    let given = 0;
    const best = (logits: Tensor, said: Said, sums?: Tensor): { sums: Tensor; places: Tensor } => {
      const logProbs = ruled(logSoftmax(logits), said, given, end, {}, options);
      const flat = reshape(sums === undefined ? logProbs : add(logProbs, reshape(sums, [batch * width, 1])), [batch, -1]);
      const { values, indices } = topK(flat, Math.min(2 * width, flat.shape[1]));
      return { sums: values, places: indices };
    };
    this.options = options;
    this.batch = batch;
    this.start = recorded(device, "beam search, first word", (...inputs) =>
      noGrad(() => {
        const { logits, state, said } = model.begin(...inputs);
        [, this.vocabulary] = logits.shape;
        [, given] = said.shape;
        this.held?.dispose(); // of a recording that is made again
        this.held = new Held(state, said, width, maxLength);
        const alone = tensor(device, Int32Array.from({ length: batch }, (_, i) => i * width), [batch]);
        const [once, lengths] = [this.held.said, this.held.lengths].map((part) => indexSelect(part, 0, alone));
        return best(logits, { said: once, lengths });
      }),
    );
    this.advance = recorded(device, "beam search", (words, parents, sums) =>
      noGrad(() => {
        const held = this.held!;
        held.follow(parents);
        return best(held.next(model, words), held, sums);
      }),
    );
  }

  async decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]> {
    const { width } = this.options;
    const searches = Array.from({ length: this.batch }, () => new BeamSearch(this.options));
    let found = await this.start.run(...inputs);
    for (;;) {
      const [sums, places] = await Promise.all([found.sums.read(), found.places.read()]);
      if (sums.some(Number.isNaN)) throw new SightlineError("beamDecoder: the logits must be numbers; got NaN", CAUSES);
      const count = sums.length / this.batch;
      const advances = searches.map((search, row) => search.step(Array.from({ length: count }, (_, i) => this.candidate(places[row * count + i], sums[row * count + i]))));
      if (searches.every(({ done }) => done)) return searches.map((search) => search.results());
      const rows = this.batch * width;
      const words = Int32Array.from(advances.flatMap((advance) => advance.words));
      const parents = Int32Array.from(advances.flatMap((advance, row) => advance.parents.map((slot) => row * width + slot)));
      const before = Float32Array.from(advances.flatMap((advance) => advance.sums));
      found = await this.advance.run({ shape: [rows], data: words }, { shape: [rows], data: parents }, { shape: [rows], data: before });
    }
  }

  dispose(): void {
    this.start.dispose();
    this.advance.dispose();
    this.held?.dispose();
  }

  /** A place of [slots · V] as slot and word. */
  private candidate(place: number, sum: number): Candidate {
    return { slot: Math.floor(place / this.vocabulary), word: place % this.vocabulary, sum };
  }
}

import { DeviceGenerator } from "../autograd/random.ts";
import { recorded, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import { full, type Tensor } from "../autograd/tensor.ts";
import { takeWords } from "../autograd/ops/beam.ts";
import { argmax, equal, gather, reshape, where } from "../autograd/ops/index.ts";
import { sampleFrom, type SamplingSettings } from "../autograd/ops/sampling.ts";
import { SightlineError } from "../core/errors.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { Device } from "../device/device.ts";
import { HeldTexts, reading, type TextOptions } from "./held-texts.ts";
import { endedAt, NOTHING, type Hypothesis, type SequenceDecoder } from "./hypothesis.ts";
import type { TextModel } from "./text-model.ts";

/** Words that are computed ahead while those before travel to the host; so many are wasted at the end of a text. */
const AHEAD = 3;

export interface WordByWordOptions extends TextOptions {
  /**
   * Draws the words, instead of taking the likeliest each time. The same seed draws the same texts for the same inputs; a generator
   * goes on from where it stands.
   */
  readonly sampling?: Omit<SamplingSettings, "repetitionPenalty"> & { readonly seed: number | DeviceGenerator };
  /** Texts that are drawn for each row of the inputs, which the model sees once. Default 1. */
  readonly candidates?: number;
  /** Called with each word as it comes, for each text that goes on: of which row of the inputs, and of which candidate. */
  readonly onWord?: (row: number, word: number, candidate: number) => void;
}

/** The likeliest word of each row, −1 where there is NaN, which argmax takes for the greatest. logits [R, V] → i32 [R]. */
function likeliest(logits: Tensor): Tensor {
  const words = argmax(logits);
  const chosen = reshape(gather(logits, 1, reshape(words, [words.size, 1])), [words.size]);
  return where(equal(chosen, chosen), words, full(logits.device, [1], -1, "i32"));
}

/** What lives from one step to the next. */
interface Begun {
  readonly texts: HeldTexts;
  /** The last word of each text, i32 [R]; −1 before the first. */
  readonly last: Tensor;
  /** Σ log p of each text, f32 [R]. */
  readonly sums: Tensor;
}

/** Word by word, for inputs of one shape. */
export class WordByWord implements SequenceDecoder {
  private readonly options: WordByWordOptions;
  private readonly batch: number;
  private readonly generator: DeviceGenerator;
  private readonly start: RecordedStep<{ words: Tensor }>;
  private readonly advance: RecordedStep<{ words: Tensor }>;
  private begun: Begun | null = null;

  constructor(device: Device, model: TextModel, options: WordByWordOptions, batch: number) {
    const { end, sampling, candidates = 1 } = options;
    this.options = options;
    this.batch = batch;
    const seed = sampling?.seed ?? 0;
    this.generator = typeof seed === "number" ? new DeviceGenerator(device, seed) : seed;
    const choose = (logits: Tensor): { words: Tensor } => {
      const begun = this.begun!;
      const left = begun.texts.ruled(logits, sampling);
      const words = sampling === undefined ? likeliest(left) : sampleFrom(left, this.generator);
      takeWords(begun, logits, words, end);
      return { words };
    };
    this.start = recorded(device, "first word", (...inputs) =>
      noGrad(() => {
        this.begun?.texts.dispose(); // of a recording that is made again
        const texts = new HeldTexts(model, model.begin(...inputs), candidates, options);
        const rows = [batch * candidates];
        this.begun = { texts, last: texts.hold(full(device, rows, -1, "i32")), sums: texts.hold(full(device, rows, 0)) };
        return choose(texts.first);
      }),
    );
    this.advance = recorded(device, "next word", () => noGrad(() => choose(this.begun!.texts.next(this.begun!.last))));
  }

  async decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]> {
    const { maxLength, end, candidates = 1, onWord, sampling } = this.options;
    if (typeof sampling?.seed === "number") this.generator.state = { ...this.generator.state, counter: 0 };
    const coming = [reading((await this.start.run(...inputs)).words)];
    const { texts: { limit }, sums } = this.begun!;
    if (limit === 0) return Array.from({ length: this.batch }, () => Array.from({ length: candidates }, () => NOTHING));
    const texts: number[][] = Array.from({ length: this.batch * candidates }, () => []);
    const goesOn = (text: readonly number[]): boolean => text.length === 0 || text.at(-1) !== end;
    for (let length = 1; coming.length > 0; ) {
      while (length < limit && coming.length <= AHEAD && texts.some(goesOn)) {
        coming.push(reading((await this.advance.run()).words));
        length++;
      }
      const words = await coming.shift()!;
      texts.forEach((text, i) => {
        if (!goesOn(text)) return;
        const row = Math.floor(i / candidates);
        if (words[i] < 0) throw new SightlineError(`wordByWordDecoder: the logits must leave a word to choose; got NaN, or −Inf alone, for text ${row}`, "the weights are damaged, an input is NaN, or every word is forbidden");
        text.push(words[i]);
        onWord?.(row, words[i], i % candidates);
      });
    }
    const scores = await sums.read();
    const hypotheses = texts.map((ids, i): Hypothesis => ({ ids, score: scores[i], ended: goesOn(ids) ? endedAt(ids.length, maxLength) : "end" }));
    return Array.from({ length: this.batch }, (_, row) => hypotheses.slice(row * candidates, (row + 1) * candidates).toSorted((a, b) => b.score - a.score));
  }

  dispose(): void {
    this.start.dispose();
    this.advance.dispose();
    this.begun?.texts.dispose();
  }
}

import { recorded, type Outputs, type RecordedStep } from "../autograd/recorded.ts";
import { noGrad } from "../autograd/tape.ts";
import { full, tensor, type Tensor } from "../autograd/tensor.ts";
import { advanceBeams, type Beams } from "../autograd/ops/beam.ts";
import { add, logSoftmax, reshape, topK } from "../autograd/ops/index.ts";
import type { TypedArray } from "../core/dtype.ts";
import { SightlineError } from "../core/errors.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { Device } from "../device/device.ts";
import { UNUSED } from "../kernels/beam.ts";
import { HeldTexts, reading, type TextOptions } from "./held-texts.ts";
import { endedAt, NOTHING, type Hypothesis, type SequenceDecoder } from "./hypothesis.ts";
import type { TextModel } from "./text-model.ts";

/** Words after which the host asks whether the searches are over; it waits for the answer before this one. */
const EVERY = 2;

export interface BeamOptions extends TextOptions {
  /** Texts that are followed at a time. */
  readonly width: number;
  /** Exponent of the length in the score: 0 compares plain sums of log p, which favours short texts. */
  readonly alpha: number;
  /**
   * What happens when a text ends. `narrow`: it leaves its place, and the search stops when no place is left, as in the
   * published storyteller. `full`: another text takes its place, and the search stops when none that is going on can beat
   * the worst of the `width` best finished ones, as in Hugging Face.
   */
  readonly rule: "narrow" | "full";
}

/** What lives from one step to the next. */
interface Begun {
  readonly texts: HeldTexts;
  readonly beams: Beams;
}

/** A beam search for inputs of one shape: one recording begins it, a second one makes all its words. */
export class BeamSearch implements SequenceDecoder {
  private readonly options: BeamOptions;
  private readonly batch: number;
  private readonly start: RecordedStep<Outputs>;
  private readonly advance: RecordedStep<Outputs>;
  private begun: Begun | null = null;

  constructor(device: Device, model: TextModel, options: BeamOptions, batch: number) {
    const { width, end, rule } = options;
    this.options = options;
    this.batch = batch;
    /** Logits [B · W, V] of the texts that go on move them on by a word. */
    const step = (logits: Tensor): Outputs => {
      const { texts, beams } = this.begun!;
      const [rows, words] = logits.shape;
      const sums = add(texts.ruled(logSoftmax(logits)), reshape(beams.sums, [rows, 1]));
      const { values, indices: places } = topK(reshape(sums, [batch, width * words]), Math.min(2 * width, width * words));
      advanceBeams({ values, places }, beams, { words, end, rule });
      return {};
    };
    this.start = recorded(device, "beam search, first word", (...inputs) =>
      noGrad(() => {
        this.begun?.texts.dispose(); // of a recording that is made again
        const texts = new HeldTexts(model, model.begin(...inputs), width, options);
        this.begun = { texts, beams: this.beginBeams(device, texts) };
        return step(texts.first);
      }),
    );
    this.advance = recorded(device, "beam search", () =>
      noGrad(() => {
        const { texts, beams } = this.begun!;
        texts.follow(beams.parents);
        return step(texts.next(beams.words));
      }),
    );
  }

  async decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]> {
    await this.start.run(...inputs);
    const { texts: { limit }, beams } = this.begun!;
    if (limit === 0) return Array.from({ length: this.batch }, () => [NOTHING]);
    const checks: Promise<TypedArray>[] = [];
    let length = 1;
    for (; length < limit; length++) {
      if (length % EVERY === 0) checks.push(reading(beams.board));
      if (checks.length > 1 && this.isOver(await checks.shift()!)) break;
      await this.advance.run();
    }
    const [board, trellis] = await Promise.all([beams.board.read(), beams.trellis.rows(0, length).read()]);
    if (!this.isOver(board)) throw new SightlineError(`beamDecoder: a search of ${length} words must have ended after as many`, "please report it");
    return Array.from({ length: this.batch }, (_, row) => this.hypotheses(row, board, trellis));
  }

  dispose(): void {
    this.start.dispose();
    this.advance.dispose();
    this.begun?.texts.dispose();
  }

  /** One empty text for each row of the inputs, in the first of its places. */
  private beginBeams(device: Device, texts: HeldTexts): Beams {
    const { width, alpha } = this.options;
    const rows = this.batch * width;
    const steps = Math.max(texts.limit, 1);
    return {
      factors: texts.hold(tensor(device, Float32Array.from({ length: steps }, (_, i) => (i + 1) ** -alpha), [steps])),
      sums: texts.hold(tensor(device, Float32Array.from({ length: rows }, (_, row) => (row % width === 0 ? 0 : UNUSED)), [rows])),
      words: texts.hold(full(device, [rows], 0, "i32")),
      parents: texts.hold(full(device, [rows], 0, "i32")),
      trellis: texts.hold(full(device, [steps, rows, 2], 0, "i32")),
      board: texts.hold(tensor(device, Float32Array.from({ length: this.batch * (width + 1) * 4 }, (_, i) => (i % ((width + 1) * 4) === 0 ? 1 : 0)), [this.batch, width + 1, 4])),
    };
  }

  /** Whether all searches have ended. @throws SightlineError if one met NaN. */
  private isOver(board: TypedArray): boolean {
    const places = Array.from({ length: this.batch }, (_, row) => board[row * (this.options.width + 1) * 4]);
    if (places.some((going) => going < 0)) throw new SightlineError("beamDecoder: the logits must be numbers; got NaN", "the weights are damaged, or an input is NaN");
    return places.every((going) => going === 0);
  }

  /** The finished texts of a row of the inputs, the best first. */
  private hypotheses(row: number, board: TypedArray, trellis: TypedArray): readonly Hypothesis[] {
    const { width, alpha, end, maxLength } = this.options;
    const head = row * (width + 1) * 4;
    const texts = Array.from({ length: board[head + 1] }, (_, i): Hypothesis => {
      const [sum, length, slot, word] = board.subarray(head + 4 * (i + 1));
      const isStuck = word < 0; // no word could follow
      const ids = isStuck ? [] : [word];
      for (let step = length - ids.length - 1, before = slot; step >= 0; step--) {
        const place = 2 * (step * this.batch * width + row * width + before);
        ids.unshift(trellis[place]);
        before = trellis[place + 1];
      }
      return { ids, score: sum / Math.max(length, 1) ** alpha, ended: isStuck || word === end ? "end" : endedAt(length, maxLength) };
    });
    return texts.toSorted((a, b) => b.score - a.score);
  }
}

import { run } from "../autograd/run.ts";
import { full, Tensor, tensor } from "../autograd/tensor.ts";
import { reorderRows } from "../autograd/ops/beam.ts";
import { assign, concat } from "../autograd/ops/index.ts";
import { appendWords, filterLogits, type BanSettings, type SamplingSettings } from "../autograd/ops/sampling.ts";
import { storageBytes, type TypedArray } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import { indexSelect } from "../kernels/index-select.ts";
import type { TextModel, TextStart, TextState } from "./text-model.ts";

/** What keeps a text from repeating itself, and from ending too soon. */
export interface TextRules extends Pick<BanSettings, "noRepeatNgram"> {
  /** The end word may not come before so many others, those that were given not counted. Default 0. */
  readonly minLength?: number;
  /** Divides the logits of words said before (multiplies negative ones): above 1, fewer repetitions. Default 1. */
  readonly repetitionPenalty?: number;
}

/** What all ways of making texts are told. */
export interface TextOptions extends TextRules {
  /** Most words, the end word included. */
  readonly maxLength: number;
  /** The word that ends a text; negative where there is none. */
  readonly end: number;
}

/** What was said so far: i32 [R, T], of which lengths i32 [R] count. */
interface Said {
  readonly said: Tensor;
  readonly lengths: Tensor;
}

/** Texts that are being made, several for each row of the inputs: what lives on the device from one step to the next. */
export class HeldTexts {
  /** Most words that each text may get. */
  readonly limit: number;
  /** Logits [R, V] of the first new words; they belong to the recording in which the texts begin. */
  readonly first: Tensor;
  private readonly model: TextModel;
  private readonly options: TextOptions;
  private readonly width: number;
  private readonly given: number;
  private readonly state: TextState;
  /** Null where no rule asks what was said. */
  private readonly said: Said | null;
  private readonly held: Tensor[] = [];

  /** Makes `width` texts of each row of what the model began with; part of the recording that is open. */
  constructor(model: TextModel, begun: TextStart, width: number, options: TextOptions) {
    const { logits, state, said, room } = begun;
    const { device, shape: [batch, given] } = said;
    const rows = tensor(device, Int32Array.from({ length: batch * width }, (_, i) => Math.floor(i / width)), [batch * width]);
    const widened = (part: Tensor): Tensor => run(indexSelect, [part, rows], { axis: 0 }, [this.room(part, [batch * width, ...part.shape.slice(1)])])[0];
    this.model = model;
    this.options = options;
    this.width = width;
    this.given = given;
    this.limit = Math.min(options.maxLength, room);
    this.first = width === 1 ? logits : run(indexSelect, [logits, rows], { axis: 0 })[0];
    this.state = { own: state.own.map(widened), shared: state.shared.map((part) => this.hold(part)) };
    this.said = !hasRules(options) ? null : {
      said: widened(concat([said, full(device, [batch, Math.max(this.limit, 1)], 0, "i32")], 1)),
      lengths: this.hold(full(device, [batch * width], given, "i32")),
    };
  }

  /** A tensor of the same values that lives as long as the texts; the recording writes it at each run. */
  hold(part: Tensor): Tensor {
    const held = this.room(part, part.shape);
    assign(held, part);
    return held;
  }

  /** Logits [R, V] with what the rules forbid taken out, then sampling's own filters. */
  ruled(logits: Tensor, sampling?: SamplingSettings): Tensor {
    if (this.said === null) return sampling === undefined ? logits : filterLogits(logits, { settings: sampling });
    const { repetitionPenalty, noRepeatNgram, minLength = 0, end } = this.options;
    const bans = { noRepeatNgram, minLength: minLength > 0 && end >= 0 ? this.given + minLength : 0, end };
    return filterLogits(logits, { settings: { ...sampling, repetitionPenalty }, ...this.said, bans });
  }

  /** Runs the model on the next words [R] i32; they join what was said. → logits [R, V]. */
  next(words: Tensor): Tensor {
    if (this.said !== null) appendWords(this.said.said, this.said.lengths, words);
    const { logits, state } = this.model.next(words, this.state);
    state.own.forEach((part, i) => {
      if (part.storage !== this.state.own[i].storage) assign(this.state.own[i], part);
    });
    return logits;
  }

  /** Each text goes on from the state of its parent, i32 [R]: another one, or itself, of the same row of the inputs. */
  follow(parents: Tensor): void {
    reorderRows([...this.state.own, ...(this.said === null ? [] : [this.said.said])], parents, this.width); // all are of one length
  }

  dispose(): void {
    for (const part of this.held) part.dispose();
  }

  private room({ device, dtype }: Tensor, shape: readonly number[]): Tensor {
    const held = new Tensor(device, shape, dtype, device.allocatePersistent(storageBytes(sizeOf(shape), dtype, device.limits.emulateF16), "state of a text"));
    this.held.push(held);
    return held;
  }
}

/** Values on their way to the host; what reading throws is thrown where they are awaited, unless something else fails before. */
export function reading(values: Tensor): Promise<TypedArray> {
  const coming = values.read();
  coming.catch(() => undefined);
  return coming;
}

function hasRules({ repetitionPenalty = 1, noRepeatNgram = 0, minLength = 0 }: TextRules): boolean {
  return repetitionPenalty !== 1 || noRepeatNgram > 0 || minLength > 0;
}

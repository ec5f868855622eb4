import { noGrad } from "../autograd/tape.ts";
import { recorded } from "../autograd/recorded.ts";
import { run } from "../autograd/run.ts";
import { full, Tensor, tensor } from "../autograd/tensor.ts";
import { argmax, concat, embedding, logSoftmax, reshape } from "../autograd/ops/index.ts";
import type { HostInput } from "../core/host-tensor.ts";
import { showShape, sizeOf } from "../core/shape.ts";
import { END, START } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import { assign } from "../kernels/assign.ts";
import { BeamSearch, type Hypothesis } from "./beam.ts";

/** A model that says one word after the other. Its state is a list of tensors with one row a picture. */
export interface WordModel {
  /** pictures [B, ...] → the state before the first word, each tensor [B, ...]. */
  begin(pictures: Tensor): readonly Tensor[];
  /** words [B, 1] i32 → logits [B, V] of the next word, and the state after it. */
  next(words: Tensor, state: readonly Tensor[]): { logits: Tensor; state: readonly Tensor[] };
}

/** Captions for batches of pictures of one shape; the pipelines are compiled at the first batch. */
export interface CaptionDecoder {
  /** The best hypotheses of each picture, the best first; greedy decoding gives one. */
  decode(pictures: HostInput): Promise<Hypothesis[][]>;
  dispose(): void;
}

/**
 * Always the likeliest word. The whole batch runs in one submission: encoder and `maxLength` words, with no readback
 * in between. Scores of its hypotheses are 0.
 */
export function greedyDecoder(device: Device, model: WordModel, maxLength: number): CaptionDecoder {
  const step = recorded(device, "greedy decoding", (pictures) =>
    noGrad(() => {
      const batch = pictures.shape[0];
      let state = model.begin(pictures);
      let words: Tensor = full(device, [batch, 1], START, "i32");
      const said: Tensor[] = [];
      for (let i = 0; i < maxLength; i++) {
        const { logits, state: next } = model.next(words, state);
        words = reshape(argmax(logits), [batch, 1]);
        state = next;
        said.push(words);
      }
      return { ids: concat(said, 1) };
    }),
  );
  return {
    async decode(pictures) {
      const { ids } = await step.run(pictures);
      const values = Array.from(await ids.read());
      return Array.from({ length: pictures.shape[0] }, (_, i) => [{ ids: untilEnd(values.slice(i * maxLength, (i + 1) * maxLength)), score: 0 }]);
    },
    dispose: () => step.dispose(),
  };
}

function untilEnd(ids: readonly number[]): readonly number[] {
  const end = ids.indexOf(END);
  return end < 0 ? ids : ids.slice(0, end + 1);
}

/** What a beam search needs beside the model. */
export interface BeamDecoderOptions {
  readonly width: number;
  readonly maxLength: number;
  /** Exponent of the length by which sums of log p are divided; 0 for none. */
  readonly alpha: number;
}

/**
 * The `width` likeliest captions are followed at a time, for all pictures of a batch together. The states stay on the
 * device; the log-probabilities of one word are read back at each step.
 */
export function beamDecoder(device: Device, model: WordModel, options: BeamDecoderOptions): CaptionDecoder {
  const byShape = new Map<string, CaptionDecoder>();
  return {
    decode(pictures) {
      const key = showShape(pictures.shape);
      let decoder = byShape.get(key);
      if (decoder === undefined) byShape.set(key, (decoder = beamDecoderOfOneShape(device, model, options)));
      return decoder.decode(pictures);
    },
    dispose() {
      for (const decoder of byShape.values()) decoder.dispose();
      byShape.clear();
    },
  };
}

function beamDecoderOfOneShape(device: Device, model: WordModel, options: BeamDecoderOptions): CaptionDecoder {
  const { width } = options;
  let state: readonly Tensor[] = [];
  const keep = (next: readonly Tensor[]): void => next.forEach((part, i) => run(assign, [state[i], part], {}));
  const logProbsOf = (logits: Tensor): { logProbs: Tensor } => ({ logProbs: logSoftmax(logits) });

  const start = recorded(device, "beam search, first word", (pictures) =>
    noGrad(() => {
      const batch = pictures.shape[0];
      const rows = tensor(device, Int32Array.from({ length: batch * width }, (_, i) => Math.floor(i / width)), [batch * width]);
      const begun = model.begin(pictures).map((part) => takeRows(part, rows));
      state = begun.map((part) => new Tensor(device, part.shape, part.dtype, device.allocatePersistent(sizeOf(part.shape) * 4, "beam state")));
      const { logits, state: next } = model.next(full(device, [batch * width, 1], START, "i32"), begun);
      keep(next);
      return logProbsOf(logits);
    }),
  );
  const advance = recorded(device, "beam search", (words, parents) =>
    noGrad(() => {
      const { logits, state: next } = model.next(words, state.map((part) => takeRows(part, parents)));
      keep(next);
      return logProbsOf(logits);
    }),
  );
  return {
    async decode(pictures) {
      const batch = pictures.shape[0];
      const searches = Array.from({ length: batch }, () => new BeamSearch({ ...options, end: END }));
      let { logProbs } = await start.run(pictures);
      for (;;) {
        const values = (await logProbs.read()) as Float32Array;
        const rows = values.length / batch;
        const advances = searches.map((search, i) => search.step(values.subarray(i * rows, (i + 1) * rows)));
        if (searches.every((search) => search.done)) break;
        const words = Int32Array.from(advances.flatMap((next) => [...next.words]));
        const parents = Int32Array.from(advances.flatMap((next, i) => [...next.parents].map((slot) => i * width + slot)));
        ({ logProbs } = await advance.run({ shape: [batch * width, 1], data: words }, { shape: [batch * width], data: parents }));
      }
      return searches.map((search) => search.results());
    },
    dispose() {
      start.dispose();
      advance.dispose();
      for (const part of state) part.dispose();
      state = [];
    },
  };
}

/** Rows of a tensor [B, ...] by their numbers [R] → [R, ...]. */
function takeRows(x: Tensor, rows: Tensor): Tensor {
  const flat = reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
  return reshape(embedding(flat, rows), [rows.shape[0], ...x.shape.slice(1)]);
}

import { add, affine, embedding, matmul } from "../src/autograd/ops/index.ts";
import { full, tensor, type Tensor } from "../src/autograd/tensor.ts";
import type { TextModel } from "../src/caption/text-model.ts";
import type { HostInput } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import type { Device } from "../src/device/device.ts";

export const START = 1;
export const END = 2;

const WIDTH = 4; // of the state

/** A language in which every word depends on all before: h = h/2 + E[word], logits = h · W + what the picture adds. */
export class Language {
  readonly words: number;
  private readonly embeddings: Float32Array;
  private readonly weights: Float32Array;

  /** @param spread 0: what was said changes nothing, and only the picture tells what comes. */
  constructor(words: number, seed: number, spread = 1) {
    const random = new Generator(seed);
    const draw = (length: number): Float32Array => Float32Array.from({ length }, () => spread * random.normal());
    this.words = words;
    this.embeddings = draw(words * WIDTH);
    this.weights = draw(WIDTH * words);
  }

  /** Its inputs are what the picture adds to the logits [B, V]. @param room Words that it can say. */
  model(device: Device, room = Infinity): TextModel {
    const [table, weights] = [tensor(device, this.embeddings, [this.words, WIDTH]), tensor(device, this.weights, [WIDTH, this.words])].map((part) => part.keep());
    const say = (h: Tensor, picture: Tensor): ReturnType<TextModel["next"]> => {
      const [[rows], [batch, words]] = [h.shape, picture.shape];
      const logits = add(matmul(h, weights).view([batch, rows / batch, words]), picture.view([batch, 1, words])).view([rows, words]);
      return { logits, state: { own: [h], shared: [picture] } };
    };
    return {
      begin: (picture) => {
        const said = full(device, [picture.shape[0], 1], START, "i32");
        return { ...say(embedding(table, said).view([picture.shape[0], WIDTH]), picture), said, room };
      },
      next: (words, { own: [h], shared: [picture] }) => say(add(affine(h, 0.5, 0), embedding(table, words)), picture),
    };
  }

  /** Logits after a text, in float64. */
  after(said: readonly number[], picture: readonly number[]): number[] {
    let h: number[] = Array.from({ length: WIDTH }, () => 0);
    for (const word of said) h = h.map((value, d) => value / 2 + this.embeddings[word * WIDTH + d]);
    return picture.map((bias, v) => h.reduce((sum, value, d) => sum + value * this.weights[d * this.words + v], bias));
  }

  /** Σ log p of a text after START. */
  logProb(ids: readonly number[], picture: readonly number[]): number {
    return ids.reduce((sum, word, i) => sum + logProbs(this.after([START, ...ids.slice(0, i)], picture))[word], 0);
  }
}

export function logProbs(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - most - total);
}

export interface HostRules {
  readonly repetitionPenalty?: number;
  readonly noRepeatNgram?: number;
  readonly minLength?: number;
}

/** What Hugging Face's processors make of the logits (or log-probabilities) after a text that began with START. */
export function processed(scores: readonly number[], said: readonly number[], { repetitionPenalty = 1, noRepeatNgram = 0, minLength = 0 }: HostRules): number[] {
  const left = [...scores];
  for (const word of new Set(said)) left[word] = left[word] < 0 ? left[word] * repetitionPenalty : left[word] / repetitionPenalty;
  for (let i = 0; noRepeatNgram > 0 && i + noRepeatNgram <= said.length; i++) {
    const gram = said.slice(i, i + noRepeatNgram);
    if (gram.slice(0, -1).join() === said.slice(said.length - noRepeatNgram + 1).join()) left[gram.at(-1)!] = -Infinity;
  }
  if (said.length - 1 < minLength) left[END] = -Infinity;
  return left;
}

/** Pictures of which the first makes the end likely from the start, and the last all but impossible. */
export function pictures(words: number, ends: readonly number[] = [2, 0, -1, -9]): number[][] {
  return ends.map((bias, row) => Array.from({ length: words }, (_, v) => (v === END ? bias : Math.fround(Math.sin(7 * row + 3 * v)))));
}

export function input(rows: readonly (readonly number[])[]): HostInput {
  return { shape: [rows.length, rows[0].length], data: Float32Array.from(rows.flat()) };
}

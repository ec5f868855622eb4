import type { RecurrentWeights } from "../../src/autograd/ops/recurrent.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { at, randomInteger, randomSize, referenceOf, type Input, type OpCase, type Reference, type Refusal, type Sample } from "./op-case.ts";

type Attrs = Record<never, never>;

/** A recurrent network in the textbook's words. */
export interface Network {
  readonly name: string;
  readonly gates: number;
  /** Whether there is a cell state c beside h. */
  readonly memory: boolean;
  /** A unit's next state, from what the input and the state before (each with its bias) say to its gates. */
  readonly next: (x: readonly number[], s: readonly number[], h: number, c: number) => { readonly h: number; readonly c: number };
  /** Greatest weight of the sample in which gates saturate. */
  readonly saturating: number;
  /** Draws networks whose gates all stay clear of 0, where they have kinks. */
  readonly kinked?: boolean;
  /** The public op: y and the last states. */
  readonly apply: (x: Tensor, states: readonly Tensor[], weights: readonly RecurrentWeights[]) => readonly Tensor[];
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** One layer in plain loops. */
function layer({ gates, next }: Network, x: Reference, states: readonly Reference[], number: number, [weightIh, weightHh, biasIh, biasHh]: readonly Reference[]): Reference[] {
  const [batch, steps, size] = x.shape;
  const hidden = weightHh.shape[1];
  const y = referenceOf([batch, steps, hidden], () => 0);
  const memory = referenceOf([batch, steps, hidden], () => 0);
  for (let b = 0; b < batch; b++) {
    let h = Array.from({ length: hidden }, (_, j) => at(states[0], number, b, j));
    let c = Array.from({ length: hidden }, (_, j) => (states.length > 1 ? at(states[1], number, b, j) : 0));
    for (let t = 0; t < steps; t++) {
      const fromInput = (row: number): number => {
        let sum = biasIh.data[row];
        for (let i = 0; i < size; i++) sum += x.data[(b * steps + t) * size + i] * weightIh.data[row * size + i];
        return sum;
      };
      const fromState = (row: number): number => {
        let sum = biasHh.data[row];
        for (let i = 0; i < hidden; i++) sum += h[i] * weightHh.data[row * hidden + i];
        return sum;
      };
      const rows = (unit: number): number[] => Array.from({ length: gates }, (_, gate) => gate * hidden + unit);
      const after = h.map((old, j) => next(rows(j).map(fromInput), rows(j).map(fromState), old, c[j]));
      h = after.map((state) => state.h);
      c = after.map((state) => state.c);
      for (let j = 0; j < hidden; j++) {
        y.data[(b * steps + t) * hidden + j] = h[j];
        memory.data[(b * steps + t) * hidden + j] = c[j];
      }
    }
  }
  return [y, memory];
}

interface Sizes {
  readonly batch: number;
  readonly steps: number;
  readonly size: number;
  readonly hidden: number;
  readonly layers?: number;
  /** Greatest weight. */
  readonly scale?: number;
}

function inputs({ gates, memory, kinked = false }: Network, { batch, steps, size, hidden, layers = 1, scale = 0.5 }: Sizes, random: Generator): Input[] {
  const state = { shape: [layers, batch, hidden] };
  const greatest = kinked ? 0.2 / Math.max(size, hidden) : scale; // all products of a gate together are below 1 …
  const range = { low: -greatest, high: greatest };
  const bias = { shape: [gates * hidden], ...range };
  const weights = Array.from({ length: layers }, (_, l): Input[] => [
    { shape: [gates * hidden, l === 0 ? size : hidden], ...range },
    { shape: [gates * hidden, hidden], ...range },
    kinked ? { shape: bias.shape, values: Array.from({ length: gates * hidden }, () => random.pick([-3, 3])) } : bias, // … and their bias is 3
    bias,
  ]);
  return [{ shape: [batch, steps, size] }, ...(memory ? [state, state] : [state]), ...weights.flat()];
}

/** The op case of a network. */
export function recurrentCase(network: Network): OpCase<Attrs> {
  const { name, gates, memory, saturating, apply } = network;
  const states = memory ? 2 : 1;
  const sample = (sizes: Sizes, random = new Generator(5)): Sample<Attrs> => {
    const { batch, steps, size, hidden, layers = 1, scale } = sizes;
    return { name: `B${batch} T${steps} I${size} H${hidden} L${layers}${scale === undefined ? "" : `, weights up to ${scale}`}`, inputs: inputs(network, sizes, random), attrs: {} };
  };
  const refusal = (what: string, index: number, shape: readonly number[], message: string): Refusal<Attrs> => {
    const good = inputs(network, { batch: 2, steps: 3, size: 4, hidden: 5 }, new Generator(5));
    return { name: what, inputs: good.map((input, i) => (i === index ? { shape } : input)), attrs: {}, message: new RegExp(`^${name.replace(/[A-Z].*/, "")}: ${message}`) };
  };
  const rows = gates * 5;
  return {
    name,
    apply([x, ...rest]) {
      const weights: RecurrentWeights[] = [];
      for (let i = states; i < rest.length; i += 4) weights.push({ weightIh: rest[i], weightHh: rest[i + 1], biasIh: rest[i + 2], biasHh: rest[i + 3] });
      return apply(x, rest.slice(0, states), weights);
    },
    reference([x, ...rest]) {
      const [layers, batch, hidden] = rest[0].shape;
      const steps = x.shape[1];
      const all: Reference[][] = [];
      for (let l = 0; l < layers; l++) all.push(layer(network, l === 0 ? x : all[l - 1][0], rest.slice(0, states), l, rest.slice(states + 4 * l)));
      const last = (of: number): Reference => referenceOf([layers, batch, hidden], ([l, b, j]) => at(all[l][of], b, steps - 1, j));
      return [all[layers - 1][0], last(0), ...(memory ? [last(1)] : [])];
    },
    tolerance: { forward: 2e-6, gradient: 1e-5, reason: "f32 sums of up to H products a step; errors pass through T steps" },
    // One word; odd sizes in two layers; more rows than are done in one dispatch; more layers than bindings; gates that saturate.
    samples: [
      sample({ batch: 1, steps: 1, size: 1, hidden: 1 }),
      sample({ batch: 3, steps: 3, size: 4, hidden: 19, layers: 2 }),
      sample({ batch: 65, steps: 2, size: 3, hidden: 20 }),
      sample({ batch: 1, steps: 2, size: 2, hidden: 4, layers: 9 }),
      sample({ batch: 2, steps: 3, size: 6, hidden: 8, scale: saturating }),
    ],
    refused: [
      refusal("x without an axis of steps", 0, [2, 4], "x must be \\[B, T, I\\]; got \\[2,4\\]"),
      refusal("states of another batch", 1, [1, 3, 5], "h0 must be \\[1,2,5\\].*got \\[1,3,5\\]"),
      refusal("states without layers", 1, [2, 5], "h0 must be \\[L, B, H\\].*got \\[2,5\\]"),
      ...(memory ? [refusal("cell states of another size", 2, [1, 2, 6], "c0 must be \\[1,2,5\\].*got \\[1,2,6\\]")] : []),
      refusal("weights for another input", states + 1, [rows, 6], `weightIh of layer 0 must be \\[${rows},4\\].*got \\[${rows},6\\]`),
      refusal("a transposed weight", states + 2, [5, rows + 1], `weightHh of layer 0 must be \\[${rows},5\\].*got \\[5,${rows + 1}\\]`),
      refusal("a bias of one unit", states + 4, [1], `biasHh of layer 0 must be \\[${rows}\\].*got \\[1\\]`),
    ],
    fuzz: (random) =>
      sample({ batch: randomSize(random, 9), steps: randomInteger(random, 1, 4), size: randomSize(random, 12), hidden: randomSize(random, 12), layers: randomInteger(random, 1, 2) }, random),
    bench: [
      sample({ batch: 32, steps: 16, size: 128, hidden: 256 }),
      sample({ batch: 32, steps: 20, size: 512, hidden: 512 }),
      sample({ batch: 1, steps: 1, size: 512, hidden: 512 }),
      sample({ batch: 64, steps: 16, size: 256, hidden: 256, layers: 2 }),
    ],
  };
}

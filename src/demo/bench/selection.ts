/** Which kernels are measured, in which groups and in which order. */

import type { BenchCase } from "../../../bench/cases.ts";

/** Groups in the order in which they are shown, and the ops of each; what is in none of them is in the last. */
const GROUPS: readonly (readonly [title: string, ops: RegExp])[] = [
  ["Matrix products", /^(matmul|linear|int8Linear)$/],
  ["Convolutions", /^conv/],
  ["Attention", /attention|additive|maskedSoftmax/i],
  ["Normalisation", /Norm/],
  ["Softmax and losses", /softmax|crossEntropy|Loss/i],
  ["Recurrent networks", /^(lstm|gru|rnn)/],
  ["Sums, element by element, moves", /^/],
];

/** What a quick run measures: of each op the first of these shapes that this device is quick enough for. */
export const QUICK: readonly (readonly [op: string, samples: readonly string[]])[] = [
  ["matmul", ["1024×1024 · 1024×1024", "512×512 · 512×512", "256×256 · 256×256"]],
  ["linear", ["64×768 → 3072, weight [I,O]", "640×256 → 1024", "640×128 → 512"]],
  ["conv2d", ["ResNet-50 layer1", "ResNet-50 layer3, 1×1", "32×128×6×6 with 128×128×3×3 {\"padding\":1} without bias"]],
  ["packedSelfAttention", ["8×12 heads, 64 positions of 64, causal", "1×12 heads, 64 positions of 64, causal"]],
  ["layerNorm", ["1576×768", "GPT-2, 128 tokens"]],
  ["batchNorm", ["ReLU 32×16×48×48", "ReLU 32×64×12×12"]],
  ["softmax", ["18912×197 in -4..4", "8320×65 in -4..4", "5120×20 in -4..4"]],
  ["crossEntropy", ["64×50257", "640×512"]],
  ["lstm", ["B32 T20 I512 H512 L1", "B32 T16 I128 H256 L1", "B1 T1 I512 H512 L1"]],
  ["gelu", ["ResNet-50 stage 1, batch 8", "GPT-2 MLP, 8×64"]],
  ["embedding", ["50257×768, ids [8,64]", "64×128, ids [32,20]"]],
  ["sum", ["[8192,768] over [1]", "[1000000] over all"]],
];

/** The title of an op's group. */
export function groupOf(op: string): string {
  return GROUPS.find(([, ops]) => ops.test(op))![0];
}

/** What to measure, in the order of the groups: of each list the first case that is quick enough. */
export function casesOf(scope: "quick" | "all", cases: readonly BenchCase[]): readonly (readonly BenchCase[])[] {
  const lists = scope === "all" ? cases.map((each) => [each]) : QUICK.map(([op, samples]) => samples.flatMap((sample) => cases.filter((each) => each.op === op && each.sample === sample)));
  const place = ([first]: readonly BenchCase[]): number => GROUPS.findIndex(([, ops]) => ops.test(first.op));
  return lists.toSorted((a, b) => place(a) - place(b));
}

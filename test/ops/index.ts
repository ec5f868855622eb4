import type { OpCase } from "./op-case.ts";
import * as adaptiveAvgPool2d from "./adaptive-avg-pool2d.ts";
import * as additiveAttention from "./additive-attention.ts";
import * as attention from "./attention.ts";
import * as attentionDecode from "./attention-decode.ts";
import * as avgPool2d from "./avg-pool2d.ts";
import * as batchNorm from "./batch-norm.ts";
import * as beam from "./beam.ts";
import * as binary from "./binary.ts";
import * as compare from "./compare.ts";
import * as concat from "./concat.ts";
import * as convTranspose2d from "./conv-transpose2d.ts";
import * as conv2d from "./conv2d.ts";
import * as crossEntropy from "./cross-entropy.ts";
import * as cumsum from "./cumsum.ts";
import * as dropout from "./dropout.ts";
import * as embedding from "./embedding.ts";
import * as gather from "./gather.ts";
import * as groupNorm from "./group-norm.ts";
import * as gru from "./gru.ts";
import * as indexSelect from "./index-select.ts";
import * as layerNorm from "./layer-norm.ts";
import * as layout from "./layout.ts";
import * as linear from "./linear.ts";
import * as linearCrossEntropy from "./linear-cross-entropy.ts";
import * as losses from "./losses.ts";
import * as lstm from "./lstm.ts";
import * as maskedSoftmax from "./masked-softmax.ts";
import * as matmul from "./matmul.ts";
import * as maxPool2d from "./max-pool2d.ts";
import * as oneHot from "./one-hot.ts";
import * as pad from "./pad.ts";
import * as permute from "./permute.ts";
import * as quantized from "./quantized.ts";
import * as reduce from "./reduce.ts";
import * as reshape from "./reshape.ts";
import * as rnn from "./rnn.ts";
import * as sampling from "./sampling.ts";
import * as scatterAdd from "./scatter-add.ts";
import * as slice from "./slice.ts";
import * as softmax from "./softmax.ts";
import * as sort from "./sort.ts";
import * as statistics from "./statistics.ts";
import * as topK from "./top-k.ts";
import * as triangle from "./triangle.ts";
import * as unary from "./unary.ts";
import * as where from "./where.ts";

/** The files of op cases; a test sees that none is missing. */
const MODULES: readonly Readonly<Record<string, unknown>>[] = [
  adaptiveAvgPool2d, additiveAttention, attention, attentionDecode, avgPool2d, batchNorm, beam, binary, compare, concat, convTranspose2d, conv2d, crossEntropy, cumsum, dropout,
  embedding, gather, groupNorm, gru, indexSelect, layerNorm, layout, linear, linearCrossEntropy, losses, lstm, maskedSoftmax, matmul, maxPool2d,
  oneHot, pad, permute, quantized, reduce, reshape, rnn, sampling, scatterAdd, slice, softmax, sort, statistics, topK, triangle, unary, where,
];

/** All op cases: what is tested, measured, fuzzed and run by the conformance suite. */
export const ALL_CASES: readonly OpCase<unknown>[] = MODULES.flatMap(opCasesOf);

/** The op cases that a test file exports, alone or in lists. */
export function opCasesOf(module: Readonly<Record<string, unknown>>): OpCase<unknown>[] {
  return Object.values(module).flat().filter(isOpCase);
}

function isOpCase(value: unknown): value is OpCase<unknown> {
  return typeof value === "object" && value !== null && "reference" in value && "samples" in value;
}

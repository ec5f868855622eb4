/** Layers, and the ops that layers alone are made of: recurrent cells, attention with a cache, int8 weights. Works in Node and in browsers. */
export { additiveAttention, additiveScores, type AdditiveAttentionOptions, type AdditiveAttentionOutputs } from "../autograd/ops/additive-attention.ts";
export { appendToCache, cachedAttention, keyValueCache, packedCachedAttention, type CachedAttentionOptions, type KeyValueCache } from "../autograd/ops/attention-decode.ts";
export { gru } from "../autograd/ops/gru.ts";
export { lstm, type LstmOutputs } from "../autograd/ops/lstm.ts";
export { dequantize, int8Embedding, int8Linear, quantize, type QuantizedMatrix } from "../autograd/ops/quantized.ts";
export type { RecurrentOutputs, RecurrentWeights } from "../autograd/ops/recurrent.ts";
export { rnn } from "../autograd/ops/rnn.ts";
export * from "./init.ts";
export * from "./layers.ts";
export * from "./lora.ts";
export * from "./module.ts";
export * from "./norm.ts";
export * from "./quantized.ts";
export * from "./recurrent.ts";
export * from "./transformer.ts";

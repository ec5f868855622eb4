import type { Shape } from "../src/core/shape.ts";
import type { Sample } from "../test/ops/op-case.ts";

/** Shapes of the published models that the op cases' own samples don't have, by the name of the op. */
export const MODEL_SHAPES: Readonly<Record<string, readonly Sample<unknown>[]>> = {
  conv2d: [
    convolution("ResNet-50 stem", [1, 3, 224, 224], [64, 3, 7, 7], { stride: 2, padding: 3 }),
    convolution("ResNet-50 layer1", [1, 64, 56, 56], [64, 64, 3, 3], { padding: 1 }),
    convolution("ResNet-50 layer3", [1, 256, 14, 14], [256, 256, 3, 3], { padding: 1 }),
    convolution("ResNet-50 layer3, 1×1", [1, 1024, 14, 14], [256, 1024, 1, 1], {}),
  ],
  matmul: [
    product("256×256 · 256×256", [256, 256], [256, 256]),
    product("GPT-2 mlp.c_fc, 128 tokens", [128, 768], [768, 3072]),
    product("GPT-2 mlp.c_fc, 1 token", [1, 768], [768, 3072]),
    product("GPT-2 attention scores, 128 tokens", [12, 128, 64], [12, 64, 128]),
  ],
  layerNorm: [{ name: "GPT-2, 128 tokens", inputs: [{ shape: [128, 768] }, { shape: [768] }, { shape: [768] }], attrs: {} }],
  softmax: [{ name: "GPT-2 attention, 128 tokens", inputs: [{ shape: [12, 128, 128] }], attrs: {} }],
};

function convolution(name: string, x: Shape, weight: Shape, attrs: unknown): Sample<unknown> {
  return { name, inputs: [{ shape: x }, { shape: weight }], attrs };
}

function product(name: string, a: Shape, b: Shape): Sample<unknown> {
  return { name, inputs: [{ shape: a }, { shape: b }], attrs: {} };
}

import { dequantize, int8Embedding, int8Linear, quantize, type QuantizedMatrix } from "../../src/autograd/ops/quantized.ts";
import type { Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomShape, randomSize, referenceOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

interface Columns {
  readonly columns: number;
}

/** Random bytes, those that fill a row's last word included: they must not count. */
function packedInput(rows: number, columns: number, random = new Generator(rows, columns)): Input {
  const words = Math.ceil(columns / 4);
  return { shape: [rows, words], dtype: "u32", values: Array.from({ length: rows * words }, () => random.nextU32()) };
}

/** Too many to draw when the file is read: for measuring, any will do. */
function anyPacked(rows: number, columns: number): Input {
  return { shape: [rows, Math.ceil(columns / 4)], dtype: "u32", low: 0, high: 2 ** 32 };
}

function scalesInput(rows: number): Input {
  return { shape: [rows], low: 0.001, high: 0.02 };
}

/** The number in column c of row r. */
function valueAt(packed: Reference, scales: Reference, r: number, c: number): number {
  const byte = Math.floor(at(packed, r, Math.floor(c / 4)) / 256 ** (c % 4)) % 256;
  return at(scales, r) * (byte < 128 ? byte : byte - 256);
}

function matrixOf(packed: Tensor, scales: Tensor, columns: number): QuantizedMatrix {
  return { packed, scales, columns };
}

/** For inference: values alone. */
const VALUES = { differentiable: [], constantOutputs: [0, 1] } as const;
const FUNCTIONS = {
  none: (x: number) => x,
  relu: (x: number) => Math.max(0, x),
  gelu_tanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
} as const;

interface LinearAttrs extends Columns {
  readonly activation: keyof typeof FUNCTIONS;
}

function linearSample(lead: Shape, columns: number, outputs: number, bias: boolean, activation: LinearAttrs["activation"] = "none", packed = packedInput): Sample<LinearAttrs> {
  const inputs = [{ shape: [...lead, columns] }, packed(outputs, columns), scalesInput(outputs), ...(bias ? [{ shape: [outputs] }] : [])];
  return { name: `${[...lead, columns].join("×")} to ${outputs}${bias ? " with bias" : ""}${activation === "none" ? "" : `, ${activation}`}`, inputs, attrs: { columns, activation } };
}

export const int8LinearCase: OpCase<LinearAttrs> = {
  ...VALUES,
  name: "int8Linear",
  apply: ([x, packed, scales, bias], { columns, activation }) => [int8Linear(x, matrixOf(packed, scales, columns), bias, activation)],
  reference: ([x, packed, scales, bias], { columns, activation }) => {
    const [outputs] = scales.shape;
    return [
      referenceOf([...x.shape.slice(0, -1), outputs], (index) => {
        const o = index[index.length - 1];
        let sum = bias === undefined ? 0 : at(bias, o);
        for (let c = 0; c < columns; c++) sum += at(x, ...index.slice(0, -1), c) * valueAt(packed, scales, o, c);
        return FUNCTIONS[activation](sum);
      }),
    ];
  },
  tolerance: { forward: 5e-6, gradient: 0, reason: "f32 sums, of which some nearly cancel, and 1 + tanh" },
  samples: [
    linearSample([1], 300, 70, false),
    linearSample([], 7, 5, true),
    linearSample([2, 4], 64, 33, true, "relu"), // as many rows as one thread takes
    linearSample([3], 1, 1, true),
    linearSample([9], 30, 21, true, "gelu_tanh"), // more
    linearSample([3, 11], 64, 40, false),
  ],
  refused: [
    { ...linearSample([2], 8, 3, false), name: "x of another width", inputs: [{ shape: [2, 7] }, packedInput(3, 8), scalesInput(3)], message: /int8Linear: x must be \[\.\.\.,8\] for a weight \[3,8\]; got \[2,7\]/ },
    { ...linearSample([2], 8, 3, false), name: "a packed matrix of another width", inputs: [{ shape: [2, 8] }, packedInput(3, 12), scalesInput(3)], message: /the packed matrix must be u32 \[rows,2\] for 8 columns; got u32 \[3,3\]/ },
    { ...linearSample([2], 8, 3, false), name: "too few scales", inputs: [{ shape: [2, 8] }, packedInput(3, 8), scalesInput(2)], message: /there must be float scales \[3\]; got f32 \[2\]/ },
    { ...linearSample([2], 8, 3, true), name: "a bias of another size", inputs: [{ shape: [2, 8] }, packedInput(3, 8), scalesInput(3), { shape: [2] }], message: /bias must be \[3\]; got \[2\]/ },
  ],
  fuzz: (random) => linearSample(randomShape(random, random.integer(3), 40), randomSize(random), randomSize(random), once(random, 2), random.pick(["none", "relu", "gelu_tanh"])),
  bench: [linearSample([1], 768, 50_257, false, "none", anyPacked), linearSample([64], 768, 3072, true, "none", anyPacked)],
};

function embeddingSample(words: number, columns: number, ids: Shape, values?: readonly number[]): Sample<Columns> {
  return { name: `${words}×${columns}, ids [${ids}]`, inputs: [packedInput(words, columns), scalesInput(words), { shape: ids, dtype: "i32", low: 0, high: words, values }], attrs: { columns } };
}

export const int8EmbeddingCase: OpCase<Columns> = {
  ...VALUES,
  name: "int8Embedding",
  apply: ([packed, scales, ids], { columns }) => [int8Embedding(matrixOf(packed, scales, columns), ids)],
  reference: ([packed, scales, ids], { columns }) => {
    const [words] = scales.shape;
    return [
      referenceOf([...ids.shape, columns], (index) => {
        const id = at(ids, ...index.slice(0, -1));
        return id >= 0 && id < words ? valueAt(packed, scales, id, index[index.length - 1]) : NaN;
      }),
    ];
  },
  tolerance: { forward: 1e-7, gradient: 0, reason: "one product" },
  samples: [embeddingSample(7, 8, [3, 5]), embeddingSample(50, 5, [16]), embeddingSample(3, 1, []), { ...embeddingSample(4, 6, [4], [0, 4, -1, 3]), name: "ids outside of the table" }],
  refused: [{ ...embeddingSample(3, 4, [2]), name: "ids that are not i32", inputs: [packedInput(3, 4), scalesInput(3), { shape: [2] }], message: /int8Embedding: ids must be i32; got f32/ }],
  fuzz: (random) => embeddingSample(randomSize(random), randomSize(random), randomShape(random, random.integer(3), 60)),
  bench: [{ name: "50257×768, ids [8,64]", inputs: [anyPacked(50_257, 768), scalesInput(50_257), { shape: [8, 64], dtype: "i32", low: 0, high: 50_257 }], attrs: { columns: 768 } }],
};

function dequantizeSample(rows: number, columns: number): Sample<Columns> {
  return { name: `${rows}×${columns}`, inputs: [packedInput(rows, columns), scalesInput(rows)], attrs: { columns } };
}

export const dequantizeCase: OpCase<Columns> = {
  ...VALUES,
  name: "dequantize",
  apply: ([packed, scales], { columns }) => [dequantize(matrixOf(packed, scales, columns))],
  reference: ([packed, scales], { columns }) => [referenceOf([scales.shape[0], columns], ([r, c]) => valueAt(packed, scales, r, c))],
  tolerance: { forward: 1e-7, gradient: 0, reason: "one product" },
  samples: [dequantizeSample(5, 16), dequantizeSample(3, 7), dequantizeSample(1, 1)],
  fuzz: (random) => dequantizeSample(randomSize(random), randomSize(random)),
};

/** Rows whose scale is a power of two, of quarters of it: rounding is exact, and every fourth number a tie. */
function quantizeSample(rows: number, columns: number, random = new Generator(rows, columns)): Sample<Record<never, never>> {
  const values = Array.from({ length: rows * columns }, (_, i) => {
    const scale = 2 ** ((Math.floor(i / columns) % 5) - 4);
    return (i % columns === 0 ? -127 : random.integer(1017) / 4 - 127) * scale;
  });
  return { name: `${rows}×${columns}`, inputs: [{ shape: [rows, columns], values }], attrs: {} };
}

function roundToEven(value: number): number {
  return Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}

export const quantizeCase: OpCase<Record<never, never>> = {
  ...VALUES,
  name: "quantize",
  apply: ([weight]) => {
    const { packed, scales } = quantize(weight);
    return [packed, scales];
  },
  reference: ([weight]) => {
    const [rows, columns] = weight.shape;
    const scaleOf = (r: number): number => Math.max(...weight.data.subarray(r * columns, (r + 1) * columns).map(Math.abs)) / 127;
    const byteAt = (r: number, c: number): number => (c < columns && scaleOf(r) > 0 ? (256 + roundToEven(at(weight, r, c) / scaleOf(r))) % 256 : 0);
    return [
      referenceOf([rows, Math.ceil(columns / 4)], ([r, word]) => [3, 2, 1, 0].reduce((sum, j) => sum * 256 + byteAt(r, 4 * word + j), 0)),
      referenceOf([rows], ([r]) => scaleOf(r)),
    ];
  },
  tolerance: { forward: 1e-7, gradient: 0, reason: "the scales are rounded; what they divide comes out exactly" },
  samples: [quantizeSample(6, 16), quantizeSample(3, 7), quantizeSample(1, 1), quantizeSample(2, 300), { name: "a row of zeros", inputs: [{ shape: [2, 4], values: [0, 0, 0, 0, 127, 0.5, -1.5, 2.5] }], attrs: {} }],
  refused: [
    { name: "a vector", inputs: [{ shape: [4] }], attrs: {}, message: /quantize: the weight must be a matrix; got \[4\]/ },
    { name: "whole numbers", inputs: [{ shape: [2, 4], dtype: "i32" }], attrs: {}, message: /quantize: needs f32 or f16 tensors; got i32/ },
  ],
  fuzz: (random) => quantizeSample(randomSize(random), randomSize(random), random),
  bench: [{ name: "768×50257", inputs: [{ shape: [50_257, 768] }], attrs: {} }],
};

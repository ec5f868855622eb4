/** Tensors larger than what an adapter binds at once: work is cut into dispatches that each bind a part. */

import { afterAll, describe, expect, test } from "vitest";
import { add } from "../../src/autograd/ops/binary.ts";
import { crossEntropy } from "../../src/autograd/ops/cross-entropy.ts";
import { dropout } from "../../src/autograd/ops/dropout.ts";
import { embedding } from "../../src/autograd/ops/embedding.ts";
import { linear } from "../../src/autograd/ops/linear.ts";
import { transpose } from "../../src/autograd/ops/permute.ts";
import { sum } from "../../src/autograd/ops/reduce.ts";
import { DeviceGenerator } from "../../src/autograd/random.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { noGrad } from "../../src/autograd/tape.ts";
import { tensor, Tensor, zeros } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { requestDevice, type Device } from "../../src/device/device.ts";
import { AdamW } from "../../src/train/adamw.ts";
import { useDevice } from "../device.ts";
import { binaryCases } from "./binary.ts";
import { crossEntropyCase } from "./cross-entropy.ts";
import { dropoutCase } from "./dropout.ts";
import { embeddingCase } from "./embedding.ts";
import { linearCase } from "./linear.ts";
import { matmulCase } from "./matmul.ts";
import { expectation, isWithin, measureSample, relativeError } from "./measure.ts";
import type { Input, OpCase, Sample } from "./op-case.ts";
import { argmaxCase, expandCase, maxCase, meanCase, sumCase } from "./reduce.ts";
import { softmaxCase } from "./softmax.ts";
import { unaryCases } from "./unary.ts";

const LIMIT = 1024; // bytes that a binding may have here: 256 numbers in f32

interface Large {
  readonly title: string;
  readonly opCase: OpCase<unknown>;
  readonly sample: Sample<unknown>;
}

function large<Attrs>(opCase: OpCase<Attrs>, attrs: Attrs, ...inputs: readonly (Shape | Input)[]): Large {
  const full = inputs.map((input): Input => ("shape" in input ? input : { shape: input }));
  const title = `${opCase.name} of ${full.map(({ shape }) => `[${shape}]`).join(", ")}`;
  return { title, opCase: opCase as OpCase<unknown>, sample: { name: title, inputs: full, attrs } };
}

const ids = (shape: Shape, words: number): Input => ({ shape, dtype: "i32", low: 0, high: words });
const away = (shape: Shape): Input => ({ shape, low: 0.5, high: 2 }); // from 0, where a quotient has no bound
const named = (name: string): OpCase<Record<never, never>> => [...unaryCases, ...binaryCases].find((opCase) => opCase.name === name)!;

const SAMPLES: readonly Large[] = [
  large(embeddingCase, {}, [60, 12], ids([7], 60)),
  large({ ...embeddingCase, differentiable: [], constantOutputs: [0] }, {}, [100, 3], ids([2, 65], 100)), // the output is cut too
  large(linearCase, { inputFirst: false }, [3, 8], [60, 8], [60]),
  large(matmulCase, {}, [3, 16], [16, 24]),
  large(named("gelu"), {}, [10, 31]),
  large(named("mul"), {}, [10, 31], [10, 31]),
  large(named("div"), {}, away([24, 16]), away([16])),
  large(named("add"), {}, [192, 2, 1], [192, 1, 1]),
  large({ ...named("mul"), differentiable: [0] }, {}, [1, 257], []),
  large(dropoutCase, { p: 0.5, seed: 3, stream: 1, counter: 5 }, [9, 33]),
  large(sumCase, {}, away([300])),
  large(sumCase, { axes: [0] }, [41, 16]),
  large(sumCase, { axes: [1] }, [128, 3]),
  large(meanCase, {}, [10, 33]),
  large(meanCase, { axes: [0, 2] }, [2, 64, 3]),
  large({ ...maxCase, differentiable: [] }, { axes: [0] }, [41, 16]),
  large(argmaxCase, {}, [100, 3]),
  large(expandCase, { shape: [24, 16] }, [16]),
  large(softmaxCase, {}, [2, 64, 3]),
  large(crossEntropyCase, { labelSmoothing: 0.1 }, [128, 3], ids([128], 3)),
];

/** Left to the family whose products compile at once: each part is a program of its own. */
const MORE_PRODUCTS: readonly Large[] = [
  large(matmulCase, {}, [17, 16], [16, 24]),
  large(linearCase, { inputFirst: false }, [31, 16], [32, 16], [32]), // all are too large
  large(matmulCase, { transposeA: true }, [24, 24], [24, 8]),
  large(matmulCase, { transposeB: true }, [5, 3, 16], [24, 16]),
  large(matmulCase, {}, [7, 4, 16], [7, 16, 8]),
  large(matmulCase, {}, [1, 5, 8, 8], [5, 8, 8]),
];

describe.each([true, false])("tensors beyond the binding limit (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups, maxStorageBufferBindingSize: LIMIT } });

  test.each([...SAMPLES, ...(cooperativeWorkgroups ? [] : MORE_PRODUCTS)])("$title", async ({ opCase, sample }) => {
    const { measured, broken } = await measureSample(device(), opCase, sample, expectation(opCase, sample));
    expect(measured.filter((each) => !isWithin(each))).toEqual([]);
    expect(broken).toEqual([]);
  });
});

describe("large tensors", () => {
  const small = useDevice({ adapter: "software", limits: { maxStorageBufferBindingSize: LIMIT } });
  const plain = useDevice({ adapter: "software" });

  test("a step with a tied embedding trains as it does where all can be bound", async () => {
    const [words, width] = [48, 16];
    const train = async (device: Device): Promise<number[]> => {
      const generator = new Generator(5);
      const parameter = (shape: Shape): Tensor => {
        const made = tensor(device, Float32Array.from({ length: sizeOf(shape) }, () => 0.3 * generator.normal()), shape);
        made.requiresGrad = true;
        return made;
      };
      const [weight, bias] = [parameter([words, width]), parameter([words])];
      const optimizer = new AdamW([{ params: [weight, bias] }], { lr: 1e-2 });
      const random = new DeviceGenerator(device, 1, 1);
      const step = recorded(device, "tied step", (inputs, targets) => {
        const loss = crossEntropy(linear(dropout(embedding(weight, inputs), 0.1, random), weight, bias), targets);
        loss.backward();
        optimizer.step({ clipNorm: 0.5 });
        return { loss };
      });
      const results: number[] = [];
      for (let i = 0; i < 4; i++) {
        const [inputs, targets] = [0, 1].map(() => ({ shape: [5], data: Int32Array.from({ length: 5 }, () => generator.integer(words)) }));
        results.push(await (await step.run(inputs, targets)).loss.item());
      }
      return [...results, ...(await weight.read())];
    };
    expect(relativeError(await train(small()), await train(plain()))).toBeLessThan(1e-5); // sums are cut, and so rounded, elsewhere
  });

  test("rows share the memory of their tensor", async () => {
    const x = tensor(plain(), Float32Array.from({ length: 256 }, (_, i) => i), [4, 64]);
    const rows = x.rows(1, 3);
    expect([...(await rows.read())]).toEqual(Array.from({ length: 128 }, (_, i) => 64 + i));
    rows.write(new Float32Array(128));
    expect([...(await x.read())].reduce((a, b) => a + b)).toBe(63 * 32 + 223.5 * 64);
    expect([...(await add(rows.view([128]), 1).read())]).toEqual(Array(128).fill(1));
    expect(() => x.rows(2, 5)).toThrow(/rows: they must lie in 0\.\.4 of \[4,64\]; got 2\.\.5/);
    expect(() => x.view([256, 1]).rows(3, 5)).toThrow(/window: it must begin at a multiple of 256 bytes; got byte 12/);
  });

  test("what cannot be cut is refused with the op, the numbers and a way out", () => {
    const x = zeros(small(), [70, 20]);
    expect(() => transpose(x)).toThrow(/permute: a tensor of shape \[70,20\] takes 5600 bytes; this adapter binds at most 1024, and permute cannot be cut to that \(use a smaller batch, or slice/);
    expect(() => sum(zeros(small(), [2, 1100]), [1])).toThrow(/reduce: a tensor of shape \[2,1100,1\] takes 8800 bytes/);
  });

  describe("the word embedding of GPT-2 (147 MiB) where 128 MiB can be bound", () => {
    const [words, width] = [50_257, 768];
    const opened = requestDevice({ adapter: "software", limits: { maxStorageBufferBindingSize: 128 * 2 ** 20 } });
    afterAll(async () => (await opened).close());

    test("embedding, its gradient, tied logits and the gradients of those", async () => {
      const device = await opened;
      using _scope = device.scope();
      const generator = new Generator(1);
      const values = new Float32Array(words * width);
      const row = Float32Array.from({ length: width + 97 }, () => generator.normal());
      for (let word = 0; word < words; word++) values.set(row.subarray(word % 97, (word % 97) + width), word * width); // rows differ from their neighbours
      const weight = tensor(device, values, [words, width]);
      weight.requiresGrad = true;
      const chosen = [0, 50_256, 43_689, 43_690, 25_128, 25_129, 50_256];
      const h = embedding(weight, tensor(device, Int32Array.from(chosen), [chosen.length]));
      const expected = chosen.flatMap((word) => [...values.subarray(word * width, (word + 1) * width)]);
      expect([...(await h.read())]).toEqual(expected);

      const logits = linear(h.rows(0, 2), weight);
      const dots = (a: number, b: number): number => values.subarray(a * width, (a + 1) * width).reduce((total: number, value: number, i: number) => total + value * values[b * width + i], 0);
      const found = await logits.read();
      const columns = Array.from({ length: 200 }, (_, i) => (i * 257) % words).concat(words - 1);
      expect(relativeError(columns.flatMap((word) => [found[word], found[words + word]]), columns.flatMap((word) => [dots(0, word), dots(50_256, word)]))).toBeLessThan(1e-6);

      // Gradients of Σ h + Σ logits·cotangent, where h of the logits is a leaf of its own.
      sum(h).backward();
      const places = await weight.grad!.rows(50_176, words).read();
      expect([...places.subarray(80 * width)]).toEqual(Array(width).fill(2)); // the last word stands twice
      expect(places.subarray(0, 80 * width).every((value) => value === 0)).toBe(true);
      weight.grad = null;

      const leaf = noGrad(() => h.rows(0, 2).detach());
      leaf.requiresGrad = true;
      const cotangent = new Float32Array(2 * words);
      for (const word of chosen) cotangent[word] = word % 5;
      cotangent[words + 50_255] = -1;
      linear(leaf, weight).backward(tensor(device, cotangent, [2, words]));
      const dx = await leaf.grad!.read();
      const expectedDx = Array.from({ length: 2 * width }, (_, i) => (i < width ? [...new Set(chosen)].reduce((total, word) => total + (word % 5) * values[word * width + i], 0) : -values[50_255 * width + i - width]));
      expect(relativeError(dx, expectedDx)).toBeLessThan(1e-6);
      const dweight = await weight.grad!.read();
      expect([...dweight.subarray(43_689 * width, 43_690 * width)]).toEqual([...values.subarray(0, width)].map((value) => Math.fround(4 * value)));
      expect([...dweight.subarray(50_255 * width, 50_256 * width)]).toEqual([...values.subarray(50_256 * width, words * width)].map((value) => -value));
    });
  });
});

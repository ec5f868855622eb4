import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { crossEntropy } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { beamDecoder, wordByWordDecoder } from "../src/caption/decode.ts";
import { Storyteller } from "../src/caption/storyteller.ts";
import { BATCH_COUNTERS, matchKeys } from "../src/checkpoint/matching.ts";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { END } from "../src/data/vocabulary.ts";
import type { Device } from "../src/device/device.ts";
import { ResNet } from "../src/models/resnet.ts";
import type { Module } from "../src/nn/module.ts";
import { AdamW } from "../src/train/adamw.ts";
import { relativeError } from "./ops/measure.ts";
import { useDevice } from "./device.ts";

const FORWARD = 1e-4; // a few dozen layers in f32, each with its own rounding
const GRADIENT = 1e-3; // as many layers again on the way back, and cancellation in sums over the batch

/** A folder of reference values from PyTorch: weights, inputs, intermediates, gradients. */
function golden(name: string): { model: Map<string, HostTensor>; io: Map<string, HostTensor>; meta: Record<string, unknown> } {
  const folder = new URL(`golden/models/${name}/`, import.meta.url);
  const read = (file: string): Map<string, HostTensor> => readSafetensors(readFileSync(new URL(file, folder)), file).tensors;
  return { model: read("model.safetensors"), io: read("io.safetensors"), meta: JSON.parse(readFileSync(new URL("meta.json", folder), "utf8")) };
}

function load(module: Module, tensors: Map<string, HostTensor>): void {
  const shapes = (entries: Iterable<readonly [string, { shape: readonly number[] }]>): Map<string, readonly number[]> => new Map([...entries].map(([key, { shape }]) => [key, shape]));
  const { assemblies } = matchKeys(shapes(module.namedTensors()), shapes(tensors), { ignore: [BATCH_COUNTERS] });
  module.loadStateDict(new Map([...assemblies].map(([key, { pieces }]) => [key, tensors.get(pieces[0])!])));
}

const upload = (device: Device, { data, shape }: HostTensor): Tensor => tensor(device, data, shape);

async function expectGradients(module: Module, io: Map<string, HostTensor>): Promise<void> {
  for (const [name, parameter] of module.namedParameters()) {
    const expected = io.get(`grad/${name}`)!;
    expect(relativeError(await parameter.grad!.read(), expected.data), `gradient of ${name}`).toBeLessThanOrEqual(GRADIENT);
  }
}

describe("ResNet with PyTorch's weights", () => {
  const device = useDevice({ adapter: "software" });
  const { model: weights, io, meta } = golden("resnet");
  const make = (): ResNet => {
    const { layers, width, classes } = meta as { layers: [number, number, number, number]; width: number; classes: number };
    const model = new ResNet({ device: device(), generator: new Generator(0) }, { block: "bottleneck", layers, width, stem: "imagenet", classes });
    load(model, weights);
    return model;
  };

  test("feature maps and logits in evaluation mode", async () => {
    const model = make().eval();
    const x = upload(device(), io.get("x")!);
    const features = noGrad(() => model.features(x));
    for (const name of ["layer1", "layer2", "layer3", "layer4"] as const) {
      expect(relativeError(await features[name].read(), io.get(`eval/${name}`)!.data), name).toBeLessThanOrEqual(FORWARD);
    }
    expect(relativeError(await noGrad(() => model.forward(x)).read(), io.get("eval/logits")!.data), "logits").toBeLessThanOrEqual(FORWARD);
  });

  test("loss, running statistics and all gradients of a training step", async () => {
    const model = make();
    const loss = crossEntropy(model.forward(upload(device(), io.get("x")!)), upload(device(), io.get("target")!));
    loss.backward();
    expect(Math.abs((await loss.item()) / io.get("train/loss")!.data[0] - 1)).toBeLessThanOrEqual(FORWARD);
    await expectGradients(model, io);
    expect(relativeError(await model.bn1.running_mean.read(), io.get("train/bn1.running_mean")!.data)).toBeLessThanOrEqual(FORWARD);
    expect(relativeError(await model.bn1.running_var.read(), io.get("train/bn1.running_var")!.data)).toBeLessThanOrEqual(FORWARD);
  });

  test("ten losses of training with AdamW", async () => {
    const model = make();
    const optimizer = new AdamW([{ params: model.parameters() }], { lr: 1e-3, weightDecay: 0.01 });
    const step = recorded(device(), "resnet step", (x, target) => {
      const loss = crossEntropy(model.forward(x), target);
      loss.backward();
      optimizer.step();
      return { loss };
    });
    const expected = meta.train_losses_adamw_lr1e3_wd0p01 as number[];
    for (const [i, reference] of expected.entries()) {
      const { loss } = await step.run(io.get("x")!, io.get("target")!);
      // PyTorch's own trails in f32 and f64 part by 4 % over these ten steps; the first three agree.
      expect(Math.abs((await loss.item()) / reference - 1), `loss ${i}`).toBeLessThanOrEqual(i < 3 ? 1e-3 : 0.1);
    }
  });
});

describe("storyteller with PyTorch's weights", () => {
  const device = useDevice({ adapter: "software" });
  const { model: weights, io, meta } = golden("storyteller-lstm");
  const make = (): Storyteller => {
    const [vocabulary, embedding] = weights.get("decoder.embedding.weight")!.shape;
    const [hidden, features] = weights.get("encoder.fc.weight")!.shape;
    const model = new Storyteller({ device: device(), generator: new Generator(0) }, { backbone: null, grid: 1, features, attention: false, decoder: { vocabulary, embedding, hidden } });
    load(model, weights);
    return model;
  };
  const [count, length] = io.get("ids")!.shape;
  const columns = (from: number): HostTensor => {
    const { data } = io.get("ids")!;
    return { dtype: "i32", shape: [count, length - 1], data: Int32Array.from({ length: count * (length - 1) }, (_, i) => data[Math.floor(i / (length - 1)) * length + (i % (length - 1)) + from]) };
  };

  test("logits, loss and all gradients", async () => {
    const model = make();
    const features = upload(device(), io.get("features")!);
    const words = upload(device(), columns(0));
    expect(relativeError(await noGrad(() => model.forward(features, words)).read(), io.get("logits")!.data), "logits").toBeLessThanOrEqual(FORWARD);
    const loss = model.loss(features, words, upload(device(), columns(1)));
    loss.backward();
    expect(Math.abs((await loss.item()) / io.get("loss")!.data[0] - 1)).toBeLessThanOrEqual(FORWARD);
    await expectGradients(model, io);
  });

  test("greedy decoding and beam search say the same words", async () => {
    const model = make();
    const { greedy, beam5_alpha0: plain, beam5_alpha0p7: normalised } = meta.decode as Record<string, number[]>;
    const features = io.get("features")!;
    const one = { shape: [1, features.shape[1]], data: features.data.slice(0, features.shape[1]) };
    const maxLength = greedy.length - 1;
    const [[said]] = await wordByWordDecoder(device(), model.text(), { maxLength, end: END }).decode(one);
    expect([1, ...said.ids]).toEqual(greedy);
    for (const [alpha, expected] of [[0, plain], [0.7, normalised]] as const) {
      const [[best]] = await beamDecoder(device(), model.text(), { width: 5, maxLength, alpha, end: END, rule: "narrow" }).decode(one);
      expect([1, ...best.ids], `alpha ${alpha}`).toEqual(expected);
    }
  });

  test("beam search in a batch says what it says of each picture alone", async () => {
    const model = make();
    const features = io.get("features")!;
    const width = features.shape[1];
    const decoder = beamDecoder(device(), model.text(), { width: 4, maxLength: 12, alpha: 0.7, end: END, rule: "narrow" });
    const together = await decoder.decode(features);
    for (let i = 0; i < count; i++) {
      const [alone] = await decoder.decode({ shape: [1, width], data: features.data.slice(i * width, (i + 1) * width) });
      expect(together[i].map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
      alone.forEach(({ score }, k) => expect(together[i][k].score).toBeCloseTo(score, 4));
    }
  });
});

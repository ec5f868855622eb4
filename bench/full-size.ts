/** Published sizes of models: how long they take to load, to run, to say a word and to train, and what memory that needs. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crossEntropy } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { wordByWordDecoder } from "../src/caption/decode.ts";
import { gpt2Text } from "../src/caption/gpt2-text.ts";
import { saveSafetensors } from "../src/checkpoint/files.ts";
import { loadInto } from "../src/checkpoint/load.ts";
import { openCheckpoint } from "../src/checkpoint/files.ts";
import type { HostInput, HostTensor } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { requestDevice, type Device } from "../src/device/device.ts";
import { GPT2, GPT2LMHeadModel } from "../src/models/gpt2.ts";
import { RESNET, ResNet } from "../src/models/resnet.ts";
import { VIT, VisionTransformer } from "../src/models/vit.ts";
import { uninitialised, type Module } from "../src/nn/module.ts";
import { AdamW } from "../src/train/adamw.ts";
import { summarize } from "./measure.ts";

export const FULL_SIZES = ["ResNet-50", "ViT-B/16", "GPT-2"] as const;
export type FullSize = (typeof FULL_SIZES)[number];

/** What one process measures: its peak memory is that of this part alone. */
export const PARTS = ["load", "forward", "train", "words"] as const;
export type Part = (typeof PARTS)[number];

const RUNS = 5;
const TOKENS = 64; // of GPT-2's text
const PROMPT = 16;
const NEW_WORDS = 96;

/** What a part took, in seconds and bytes. */
export interface PartTime {
  readonly model: FullSize;
  readonly part: Part;
  readonly parameters: number;
  readonly fileBytes: number;
  /** The first run: reading a cold file, or tracing, planning and compiling. */
  readonly first: number;
  readonly median: number;
  /** The most that the process held. */
  readonly peakBytes: number;
  /** Of `words`: medians of the first and the last quarter of the words, whose texts are four times as long. */
  readonly early?: number;
  readonly late?: number;
}

interface Subject {
  readonly model: Module;
  /** A picture, or the tokens of a text. */
  readonly input: HostInput;
  forward(input: Tensor): Tensor;
  loss(input: Tensor): Tensor;
}

function subject(name: FullSize, device: Device): Subject {
  const builder = { device, generator: new Generator(0) };
  const random = new Generator(1);
  const picture = { shape: [1, 3, 224, 224], data: Float32Array.from({ length: 3 * 224 * 224 }, () => random.normal()) };
  if (name === "GPT-2") {
    const model = uninitialised(() => new GPT2LMHeadModel(builder, GPT2.gpt2));
    const input = { shape: [1, TOKENS], data: Int32Array.from({ length: TOKENS }, () => random.integer(GPT2.gpt2.vocabulary)) };
    return { model, input, forward: (ids) => model.forward(ids), loss: (ids) => model.loss(model.embed(ids), ids) };
  }
  const model = uninitialised(() => (name === "ResNet-50" ? new ResNet(builder, RESNET.resnet50) : new VisionTransformer(builder, VIT.vitBase)));
  const target = Int32Array.of(7);
  return { model, input: picture, forward: (x) => model.forward(x), loss: (x) => crossEntropy(model.forward(x), tensor(device, target, [1])) };
}

/** A file of random weights of the model's real size. */
async function writeWeights(name: FullSize, path: string): Promise<void> {
  const device = await requestDevice({ adapter: "null" });
  const { model } = subject(name, device);
  const random = new Generator(2);
  const noise = Float32Array.from({ length: 1 << 20 }, () => 0.02 * random.normal());
  const weights = function* (): Iterable<readonly [string, HostTensor]> {
    for (const [key, { shape, size }] of model.namedTensors()) {
      const data = new Float32Array(size);
      for (let begin = 0; begin < size; begin += noise.length) data.set(noise.subarray(0, Math.min(noise.length, size - begin)), begin);
      if (key.endsWith("running_var")) data.fill(1);
      yield [key, { dtype: "f32", shape, data }];
    }
  };
  await saveSafetensors(path, weights());
  await device.close();
}

/** Measures one part in this process. */
export async function measurePart(name: FullSize, part: Part, file: string): Promise<PartTime> {
  const device = await requestDevice();
  const { model, input, forward, loss } = subject(name, device);
  const load = async (): Promise<void> => {
    const reader = await openCheckpoint(file);
    await loadInto(model, reader);
    await reader.close();
  };
  const result = (times: readonly number[], more: Pick<PartTime, "early" | "late"> = {}): PartTime => ({
    model: name,
    part,
    parameters: model.parameterCount(),
    fileBytes: statSync(file).size,
    first: times[0],
    median: summarize(times.length > 1 ? times.slice(1) : times).median,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    ...more,
  });
  if (part === "load") return result([await seconds(load)]);
  await load();
  if (part === "words") return result(...(await wordTimes(device, model as GPT2LMHeadModel, input)));
  const step = part === "forward" ? forwardStep(device, model, forward) : trainingStep(device, model, loss);
  const times: number[] = [];
  for (let i = 0; i < (part === "train" ? 2 : RUNS); i++) times.push(await seconds(async () => (await step.run(input)).out.read()));
  return result(times);
}

function forwardStep(device: Device, model: Module, forward: Subject["forward"]): { run(input: HostInput): Promise<{ out: Tensor }> } {
  model.eval();
  return recorded(device, "forward", (x) => ({ out: noGrad(() => forward(x)) }));
}

function trainingStep(device: Device, model: Module, lossOf: Subject["loss"]): { run(input: HostInput): Promise<{ out: Tensor }> } {
  const optimizer = new AdamW([{ params: model.parameters() }], { lr: 1e-4 });
  return recorded(device, "training step", (x) => {
    const out = lossOf(x);
    out.backward();
    optimizer.step();
    return { out };
  });
}

/** Seconds between one word and the next, and how they differ between the beginning and the end of a text. */
async function wordTimes(device: Device, model: GPT2LMHeadModel, { data }: HostInput): Promise<[number[], Pick<PartTime, "early" | "late">]> {
  const moments: number[] = [];
  const text = gpt2Text(model, PROMPT + NEW_WORDS, (ids) => ({ x: model.embed(ids), said: ids }));
  const decoder = wordByWordDecoder(device, text, { maxLength: NEW_WORDS, end: -1, onWord: () => void moments.push(performance.now()) });
  const prompt = { shape: [1, PROMPT], data: data.slice(0, PROMPT) };
  const first = await seconds(() => decoder.decode(prompt));
  moments.length = 0;
  await decoder.decode(prompt);
  const gaps = moments.slice(1).map((moment, i) => (moment - moments[i]) / 1000);
  const quarter = Math.floor(gaps.length / 4);
  const median = (some: readonly number[]): number => summarize(some).median;
  return [[first, median(gaps)], { early: median(gaps.slice(0, quarter)), late: median(gaps.slice(-quarter)) }];
}

async function seconds(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (performance.now() - begun) / 1000;
}

/** Measures all parts of all models, each in a process of its own; `found` is told of each. */
export async function measureFullSizes(wanted: (name: string) => boolean, found: (time: PartTime) => void): Promise<PartTime[]> {
  const times: PartTime[] = [];
  for (const name of FULL_SIZES.filter((size) => PARTS.some((part) => wanted(`${size} ${part}`)))) {
    const file = join(tmpdir(), `sightline-bench-${randomBytes(4).toString("hex")}.safetensors`);
    try {
      await writeWeights(name, file);
      for (const part of PARTS.filter((each) => (each !== "words" || name === "GPT-2") && wanted(`${name} ${each}`))) {
        const output = execFileSync(process.execPath, [process.argv[1], "full-size", name, part, file], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
        const time = JSON.parse(output) as PartTime;
        times.push(time);
        found(time);
      }
    } finally {
      rmSync(file, { force: true });
    }
  }
  return times;
}

import { expect, test } from "vitest";
import { adaptiveAvgPool2d, add, crossEntropy, reshape } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { DeviceGenerator } from "../src/autograd/random.ts";
import type { Tensor } from "../src/autograd/tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { requestDevice } from "../src/device/device.ts";
import { Conv2d, Dropout, Embedding, Linear } from "../src/nn/layers.ts";
import { Module } from "../src/nn/module.ts";
import { BatchNorm2d, LayerNorm } from "../src/nn/norm.ts";
import { AdamW } from "../src/train/adamw.ts";

const STEPS = 50;
const [BATCH, WORDS, SIZE, WIDTH] = [4, 13, 9, 16];

/** Losses and final parameters of a small network with every kind of sum that a race could reorder. */
async function train(cooperativeWorkgroups: boolean): Promise<Float32Array[]> {
  const device = await requestDevice({ adapter: "software", limits: { cooperativeWorkgroups } });
  const builder = { device, generator: new Generator(11) };
  class Network extends Module {
    readonly conv = new Conv2d(builder, 3, WIDTH, 3, { padding: 1 });
    readonly norm = new BatchNorm2d(builder, WIDTH);
    readonly words = new Embedding(builder, WORDS, WIDTH);
    readonly after = new LayerNorm(builder, WIDTH);
    readonly dropout = new Dropout(new DeviceGenerator(device, 5), 0.2);
    readonly head = new Linear(builder, WIDTH, WORDS);

    loss(pictures: Tensor, words: Tensor, next: Tensor): Tensor {
      const picture = reshape(adaptiveAvgPool2d(this.norm.forward(this.conv.forward(pictures), { activation: "relu" }), 1), [BATCH, 1, WIDTH]);
      const mixed = this.after.forward(add(this.words.forward(words), picture));
      return crossEntropy(reshape(this.head.forward(this.dropout.forward(mixed)), [-1, WORDS]), next);
    }
  }
  const network = new Network();
  const optimizer = new AdamW([{ params: network.parameters() }], { lr: 1e-2 });
  const step = recorded(device, "step", (pictures: Tensor, words: Tensor, next: Tensor) => {
    const loss = network.loss(pictures, words, next);
    loss.backward();
    optimizer.step({ clipNorm: 1 });
    return { loss };
  });
  const data = new Generator(3);
  const losses = new Float32Array(STEPS);
  for (let i = 0; i < STEPS; i++) {
    const pictures = Float32Array.from({ length: BATCH * 3 * SIZE * SIZE }, () => data.normal());
    const ids = Int32Array.from({ length: BATCH * 6 }, () => data.integer(WORDS));
    const { loss } = await step.run({ shape: [BATCH, 3, SIZE, SIZE], data: pictures }, { shape: [BATCH, 6], data: ids }, { shape: [BATCH * 6], data: ids.map((id) => (id * 5 + 1) % WORDS) });
    losses[i] = await loss.item();
  }
  const parameters = await Promise.all(network.namedTensors().map(async ([, tensor]) => (await tensor.read()) as Float32Array));
  await device.close();
  return [losses, ...parameters];
}

test.each([
  ["one thread", false],
  ["cooperative", true],
])("fifty training steps give the same bits in two runs, %s", async (_variant, cooperativeWorkgroups) => {
  const [first, second] = [await train(cooperativeWorkgroups), await train(cooperativeWorkgroups)];
  expect(first[0][STEPS - 1]).toBeLessThan(first[0][0]);
  const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer);
  first.forEach((values, i) => expect(bits(values)).toEqual(bits(second[i])));
});

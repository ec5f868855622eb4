import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape, type Shape } from "../../core/shape.ts";
import { BUFFER_ALIGNMENT } from "../../device/buffers.ts";
import type { Device } from "../../device/device.ts";
import { Storage } from "../../device/storage.ts";
import { lstmBefore, lstmCarry, lstmStates, lstmStep, lstmStepBackward } from "../../kernels/lstm.ts";
import { matmul } from "../../kernels/matmul.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { allocateTensor, Tensor } from "../tensor.ts";
import { product } from "./matmul.ts";
import { sumTo } from "./reduce.ts";

/** Weights of one layer, named and laid out as in torch.nn.LSTM; the gates stand in the order i, f, g, o. */
export interface LstmWeights {
  /** [4H, I]; I is H from the second layer on. */
  readonly weightIh: Tensor;
  /** [4H, H] */
  readonly weightHh: Tensor;
  /** [4H] */
  readonly biasIh: Tensor;
  /** [4H] */
  readonly biasHh: Tensor;
}

export interface LstmOutputs {
  /** Hidden states of the last layer at each step, [B, T, H]. */
  readonly y: Tensor;
  /** Hidden states of each layer after the last step, [L, B, H]. */
  readonly hn: Tensor;
  /** Cell states of each layer after the last step, [L, B, H]. */
  readonly cn: Tensor;
}

const PER_LAYER = 4; // tensors of LstmWeights
const SAVED_PER_LAYER = 3; // gates, c, y

/**
 * For each layer, `count` tiny tensors (number, layer) that tell one pipeline which step of which layer it computes.
 * They are slices of one buffer.
 */
function positions(device: Device, layers: number, count: number): Tensor[][] {
  const stride = BUFFER_ALIGNMENT / Uint32Array.BYTES_PER_ELEMENT;
  const data = new Uint32Array(layers * count * stride);
  for (let i = 0; i < layers * count; i++) data.set([i % count, Math.floor(i / count)], i * stride);
  const { buffer, offset } = device.sink.allocateConstant(data, "lstm positions").placed!;
  const slice = (i: number): Tensor => new Tensor(device, [2], "u32", new Storage(8, "lstm position", { buffer, offset: offset + i * BUFFER_ALIGNMENT, size: 8 }));
  return Array.from({ length: layers }, (_, layer) => Array.from({ length: count }, (_, number) => slice(layer * count + number)));
}

const lstmOp = defineOp<Record<never, never>>({
  name: "lstm",
  forward([x, h0, c0, ...weights]) {
    const { device } = x;
    const [layers, batch, hidden] = h0.shape;
    const steps = x.shape[1];
    const position = positions(device, layers, steps);
    const saved: Tensor[] = [];
    let input = x;
    for (let layer = 0; layer < layers; layer++) {
      const [weightIh, weightHh, biasIh, biasHh] = weights.slice(layer * PER_LAYER);
      const [projected] = run(matmul, [input.view([batch * steps, input.shape[2]]), weightIh, biasIh], { transposeB: true, bias: true });
      const gates = projected.view([batch, steps, 4 * hidden]);
      const y = allocateTensor(device, { shape: [batch, steps, hidden], dtype: "f32" }, "lstm y");
      const c = allocateTensor(device, { shape: [batch, steps, hidden], dtype: "f32" }, "lstm c");
      for (let step = 0; step < steps; step++) {
        const first = step === 0;
        run(lstmStep, [gates, weightHh, biasHh, position[layer][step], y, c, ...(first ? [h0, c0] : [])], { first });
      }
      saved.push(gates, c, y);
      input = y;
    }
    // One layer's states after one step are its only ones.
    const last = (sequences: readonly Tensor[]): Tensor =>
      layers === 1 && steps === 1 ? sequences[0].view([1, batch, hidden]) : run(lstmStates, sequences, { batch, hidden, start: (steps - 1) * hidden, stride: steps * hidden })[0];
    const kept = (offset: number): Tensor[] => saved.filter((_, i) => i % SAVED_PER_LAYER === offset);
    return { outputs: [input, last(kept(2)), last(kept(1))], saved };
  },
  backward([dyLast, dhn, dcn], { inputs, saved, needs }) {
    const [x, h0, c0, ...weights] = inputs;
    const { device } = x;
    const [layers, batch, hidden] = h0.shape;
    const steps = x.shape[1];
    const position = positions(device, layers, steps + 1);
    const carries: Tensor[] = [];
    const dweights: (Tensor | null)[] = [];
    let dy = dyLast;
    for (let layer = layers - 1; layer >= 0; layer--) {
      const [weightIh, weightHh] = weights.slice(layer * PER_LAYER);
      const [gates, c, y] = saved.slice(layer * SAVED_PER_LAYER);
      const given = [dhn, dcn].filter((gradient) => gradient !== null);
      const [carry] = run(lstmCarry, [position[layer][0], ...given], { batch, hidden, dhn: dhn !== null, dcn: dcn !== null });
      const dgates = allocateTensor(device, gates, "lstm dgates");
      for (let number = steps; number >= (needs[1] ? 0 : 1); number--) {
        run(lstmStepBackward, [dgates, weightHh, gates, c, c0, carry, position[layer][number], ...(dy === null ? [] : [dy])], {});
      }
      carries.unshift(carry);

      const flat = dgates.view([batch * steps, 4 * hidden]);
      const input = layer === 0 ? x : saved[(layer - 1) * SAVED_PER_LAYER + 2];
      const size = input.shape[2];
      const needed = needs.slice(3 + layer * PER_LAYER);
      const dbias = needed[2] || needed[3] ? sumTo(flat, [4 * hidden]) : null;
      const dweightIh = needed[0] ? product(flat, input.view([batch * steps, size]), true, false) : null;
      const dweightHh = needed[1] ? product(flat, run(lstmBefore, [y, h0, position[layer][0]], {})[0].view([batch * steps, hidden]), true, false) : null;
      dweights.unshift(dweightIh, dweightHh, needed[2] ? dbias : null, needed[3] ? dbias : null);
      dy = layer > 0 || needs[0] ? product(flat, weightIh, false, false).view([batch, steps, size]) : null;
    }
    const states = (start: number): Tensor => run(lstmStates, carries, { batch, hidden, start, stride: hidden })[0];
    return [dy, needs[1] ? states(batch * hidden) : null, needs[2] ? states(0) : null, ...dweights];
  },
});

/**
 * Long short-term memory over whole sequences, batch first, in one or more layers.
 *
 * x [B, T, I], h0 [L, B, H], c0 [L, B, H], weights of L layers → y [B, T, H], hn [L, B, H], cn [L, B, H].
 * One matrix product and T dispatches a layer, so decoding one word with one layer takes two.
 * @throws ShapeError if shapes of x, states and weights don't fit, or there are more layers than storage bindings.
 * Source: Hochreiter and Schmidhuber 1997; the same result as torch.nn.LSTM(batch_first=True).
 */
export function lstm(x: Tensor, h0: Tensor, c0: Tensor, weights: readonly LstmWeights[]): LstmOutputs {
  checkShapes(x, h0, c0, weights);
  const [y, hn, cn] = lstmOp([x, h0, c0, ...weights.flatMap(({ weightIh, weightHh, biasIh, biasHh }) => [weightIh, weightHh, biasIh, biasHh])], {});
  return { y, hn, cn };
}

function checkShapes(x: Tensor, h0: Tensor, c0: Tensor, weights: readonly LstmWeights[]): void {
  if (x.shape.length !== 3) throw new ShapeError(`lstm: x must be [B, T, I]; got ${showShape(x.shape)}`);
  if (weights.length === 0) throw new ShapeError("lstm: there must be weights of at least one layer; got none");
  if (h0.shape.length !== 3) throw new ShapeError(`lstm: h0 must be [L, B, H]; got ${showShape(h0.shape)}`);
  const hidden = h0.shape[2];
  const states = [weights.length, x.shape[0], hidden];
  const expected: [string, Tensor, Shape][] = [
    ["h0", h0, states],
    ["c0", c0, states],
    ...weights.flatMap(({ weightIh, weightHh, biasIh, biasHh }, layer): [string, Tensor, Shape][] => [
      [`weightIh of layer ${layer}`, weightIh, [4 * hidden, layer === 0 ? x.shape[2] : hidden]],
      [`weightHh of layer ${layer}`, weightHh, [4 * hidden, hidden]],
      [`biasIh of layer ${layer}`, biasIh, [4 * hidden]],
      [`biasHh of layer ${layer}`, biasHh, [4 * hidden]],
    ]),
  ];
  for (const [name, { shape }, wanted] of expected) {
    if (!sameShape(shape, wanted)) {
      throw new ShapeError(`lstm: ${name} must be ${showShape(wanted)} for x ${showShape(x.shape)}, h0 ${showShape(h0.shape)} and ${weights.length} layers of weights; got ${showShape(shape)}`);
    }
  }
}

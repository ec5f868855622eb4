import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape, type Shape } from "../../core/shape.ts";
import { BUFFER_ALIGNMENT } from "../../device/buffers.ts";
import type { Device } from "../../device/device.ts";
import { Storage } from "../../device/storage.ts";
import { cast } from "../../kernels/cast.ts";
import { requireFloat } from "../../kernels/elementwise.ts";
import { matmul } from "../../kernels/matmul.ts";
import { lastState, recurrentBackward, recurrentForward, statesBefore, type Cell } from "../../kernels/recurrent.ts";
import { inOneDispatch } from "../../kernels/recurrent-step.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { allocateTensor, Tensor } from "../tensor.ts";
import { product } from "./matmul.ts";
import { sumTo } from "./reduce.ts";

/** Weights of one recurrent layer, named and laid out as in PyTorch: its G gates stand one below the other. */
export interface RecurrentWeights {
  /** [G·H, I]; I is H from the second layer on. */
  readonly weightIh: Tensor;
  /** [G·H, H] */
  readonly weightHh: Tensor;
  /** [G·H] */
  readonly biasIh: Tensor;
  /** [G·H] */
  readonly biasHh: Tensor;
}

/** What a network whose only state is h gives. */
export interface RecurrentOutputs {
  /** Hidden states of the last layer at each step, [B, T, H]. */
  readonly y: Tensor;
  /** Hidden states of each layer after the last step, [L, B, H]. */
  readonly hn: Tensor;
}

/** x [B,T,I], the first states [L,B,H] (h, and c of a cell with a memory), weights of L layers → y [B,T,H], the last states [L,B,H]. */
export type RecurrentOp = (x: Tensor, states: readonly Tensor[], weights: readonly RecurrentWeights[]) => Tensor[];

/** What a layer leaves for the backward pass: y [B,T,H], kept [B,T,K·H], memory [B,T,H] (c, or null). */
interface Trail {
  readonly y: Tensor;
  readonly kept: Tensor;
  readonly memory: Tensor | null;
}

/**
 * The op of a cell over whole sequences, in one or more layers: one matrix product and T dispatches a layer.
 *
 * Where x is f16, so is y; gates, cell states and all gradients stay f32, since errors add up from step to step.
 * @throws ShapeError if shapes of x, states and weights don't fit, or something is empty.
 */
export function recurrentOp(cell: Cell): RecurrentOp {
  const hasMemory = cell.before === "c";
  const stateNames = hasMemory ? ["h0", "c0"] : ["h0"];
  const trailSize = hasMemory ? 3 : 2;
  const kernels = { forward: recurrentForward(cell), backward: recurrentBackward(cell) };

  const trailOf = (saved: readonly Tensor[], layer: number): Trail => {
    const [y, kept, memory] = saved.slice(layer * trailSize, (layer + 1) * trailSize);
    return { y, kept, memory: memory ?? null };
  };
  const weightsOf = <T>(inputs: readonly T[], layer: number): readonly T[] => inputs.slice(1 + stateNames.length + 4 * layer, 1 + stateNames.length + 4 * (layer + 1));

  /** One layer forward. */
  function forward(input: Tensor, states: readonly Tensor[], [weightIh, weightHh, biasIh, biasHh]: readonly Tensor[], position: readonly Tensor[]): Trail {
    const [batch, steps, size] = input.shape;
    const hidden = weightHh.shape[1];
    const [flat] = run(matmul, [input.view([batch * steps, size]), weightIh, biasIh], { transposeB: true, bias: true, wide: true });
    const projected = flat.view([batch, steps, cell.gates * hidden]);
    const sequence = (width: number, dtype: DType): Tensor => allocateTensor(input.device, { shape: [batch, steps, width * hidden], dtype }, cell.name);
    const y = sequence(1, input.dtype);
    const memory = hasMemory ? sequence(1, "f32") : null;
    const kept = cell.keptIn === "input" ? projected : cell.keptIn === "output" ? y : sequence(cell.kept.length, "f32");
    const sequences = [...(cell.keptIn === "input" ? [] : [projected]), y, ...(memory === null ? [] : [memory]), ...(cell.keptIn === "output" ? [] : [kept])];
    const places = inOneDispatch(cell.gates, { batch, steps, hidden }, input.device.limits) ? position.slice(0, 1) : position;
    places.forEach((place, step) => run(kernels.forward, [weightHh, biasHh, place, ...states, ...sequences], { steps: places.length < steps ? "all" : step === 0 ? "first" : "later" }));
    return { y, kept, memory };
  }

  const op = defineOp<Record<never, never>>({
    name: cell.name,
    forward(inputs) {
      const [x, h0] = inputs;
      const [layers, batch, hidden] = h0.shape;
      const states = inputs.slice(1, 1 + stateNames.length);
      const position = positions(x.device, layers, x.shape[1]);
      const trails: Trail[] = [];
      for (let layer = 0; layer < layers; layer++) trails.push(forward(trails.at(-1)?.y ?? x, states, weightsOf(inputs, layer), position[layer]));
      const last = (sequences: readonly Tensor[]): Tensor => {
        if (layers === 1 && x.shape[1] === 1) return sequences[0].view([1, batch, hidden]); // its only states
        const lasts = allocateTensor(x.device, { shape: [layers, batch, hidden], dtype: sequences[0].dtype }, `${cell.name} last states`);
        sequences.forEach((sequence, layer) => run(lastState, [sequence, position[layer][0], lasts], {}));
        return lasts;
      };
      const lasts = [last(trails.map(({ y }) => y)), ...(hasMemory ? [last(trails.map(({ memory }) => memory!))] : [])];
      return { outputs: [trails[layers - 1].y, ...lasts], saved: trails.flatMap(({ y, kept, memory }) => (memory === null ? [y, kept] : [y, kept, memory])) };
    },
    backward([dyLast, ...dlasts], { inputs, saved, needs }) {
      const [x, h0] = inputs;
      const [layers, batch, hidden] = h0.shape;
      const steps = x.shape[1];
      const states = inputs.slice(1, 1 + stateNames.length);
      const position = positions(x.device, layers, steps + 1);
      // At first the gradients of the last states, in the end those of the first ones.
      const dstates = states.map((state, i) => {
        const given = dlasts[i];
        return given === null ? allocateTensor(x.device, { shape: state.shape, dtype: "f32" }, `${cell.name} gradient of states`) : run(cast, [given], { dtype: "f32" })[0];
      });
      const flows = { dhn: dlasts[0] !== null, dcn: hasMemory && dlasts[1] !== null };
      const dweights: (Tensor | null)[] = [];
      let dy = dyLast;
      for (let layer = layers - 1; layer >= 0; layer--) {
        const [weightIh, weightHh] = weightsOf(inputs, layer);
        const needed = weightsOf(needs, layer);
        const { y, kept, memory } = trailOf(saved, layer);
        const input = layer === 0 ? x : trailOf(saved, layer - 1).y;
        const before = (sequence: Tensor, state: Tensor): Tensor => run(statesBefore, [sequence, state, position[layer][0]], {})[0];
        const hBefore = needed[1] || cell.before === "h" ? before(y, h0) : null;
        const earlier = memory !== null ? [before(memory, states[1])] : cell.before === "h" ? [hBefore!] : [];
        const gradient = (): Tensor => allocateTensor(x.device, { shape: [batch * steps, cell.gates * hidden], dtype: "f32" }, `${cell.name} gradient of gates`);
        const dprojected = gradient();
        const dsums = cell.ds === undefined ? dprojected : gradient();
        const changed = [...new Set([dprojected, dsums]), ...dstates];
        const backward = (place: Tensor, all: "states" | "steps" | null): Tensor[] => run(kernels.backward, [weightHh, place, kept, ...earlier, dy ?? y, ...changed], { ...flows, dy: dy !== null, all });
        if (inOneDispatch(cell.gates, { batch, steps, hidden }, x.device.limits)) backward(position[layer][0], needs[1] ? "states" : "steps");
        else for (let number = steps; number >= (needs[1] ? 0 : 1); number--) backward(position[layer][number], null);

        const sums = (gates: Tensor, wanted: boolean): Tensor | null => (wanted ? sumTo(gates, [cell.gates * hidden]) : null);
        const dbiasIh = sums(dprojected, needed[2] || (needed[3] && dsums === dprojected));
        const dbiasHh = dsums === dprojected ? dbiasIh : sums(dsums, needed[3]);
        const dweightIh = needed[0] ? product(dprojected, input.view([batch * steps, input.shape[2]]), true, false, true) : null;
        const dweightHh = needed[1] ? product(dsums, hBefore!.view([batch * steps, hidden]), true, false, true) : null;
        dweights.unshift(dweightIh, dweightHh, needed[2] ? dbiasIh : null, needed[3] ? dbiasHh : null);
        dy = layer > 0 || needs[0] ? product(dprojected, weightIh, false, false).view(input.shape) : null;
      }
      return [dy, ...dstates.map((dstate, i) => (needs[1 + i] ? dstate : null)), ...dweights];
    },
  });

  return (x, states, weights) => {
    checkInputs(cell, stateNames, x, states, weights);
    return op([x, ...states, ...weights.flatMap(({ weightIh, weightHh, biasIh, biasHh }) => [weightIh, weightHh, biasIh, biasHh])], {});
  };
}

/**
 * For each layer, `count` tiny tensors (number, layer) that tell one pipeline which step of which layer it computes.
 * They are slices of one buffer.
 */
function positions(device: Device, layers: number, count: number): Tensor[][] {
  const stride = BUFFER_ALIGNMENT / Uint32Array.BYTES_PER_ELEMENT;
  const data = new Uint32Array(layers * count * stride);
  for (let i = 0; i < layers * count; i++) data.set([i % count, Math.floor(i / count)], i * stride);
  const { buffer, offset } = device.sink.allocateConstant(data, "positions").placed!;
  const slice = (i: number): Tensor => new Tensor(device, [2], "u32", new Storage(8, "position", { buffer, offset: offset + i * BUFFER_ALIGNMENT, size: 8 }));
  return Array.from({ length: layers }, (_, layer) => Array.from({ length: count }, (_, number) => slice(layer * count + number)));
}

function checkInputs({ name, gates }: Cell, stateNames: readonly string[], x: Tensor, states: readonly Tensor[], weights: readonly RecurrentWeights[]): void {
  const [h0] = states;
  if (x.shape.length !== 3) throw new ShapeError(`${name}: x must be [B, T, I]; got ${showShape(x.shape)}`);
  if (x.shape.includes(0)) throw new ShapeError(`${name}: x must have at least one sequence, one step and one feature; got ${showShape(x.shape)}`);
  if (weights.length === 0) throw new ShapeError(`${name}: there must be weights of at least one layer; got none`);
  if (h0.shape.length !== 3 || h0.shape[2] === 0) throw new ShapeError(`${name}: h0 must be [L, B, H] with at least one hidden unit; got ${showShape(h0.shape)}`);
  const [batch, , size] = x.shape;
  const hidden = h0.shape[2];
  const expected: [string, Tensor, Shape][] = [
    ...states.map((state, i): [string, Tensor, Shape] => [stateNames[i], state, [weights.length, batch, hidden]]),
    ...weights.flatMap(({ weightIh, weightHh, biasIh, biasHh }, layer): [string, Tensor, Shape][] => [
      [`weightIh of layer ${layer}`, weightIh, [gates * hidden, layer === 0 ? size : hidden]],
      [`weightHh of layer ${layer}`, weightHh, [gates * hidden, hidden]],
      [`biasIh of layer ${layer}`, biasIh, [gates * hidden]],
      [`biasHh of layer ${layer}`, biasHh, [gates * hidden]],
    ]),
  ];
  for (const [what, { shape }, wanted] of expected) {
    if (!sameShape(shape, wanted)) {
      throw new ShapeError(`${name}: ${what} must be ${showShape(wanted)} for x ${showShape(x.shape)}, h0 ${showShape(h0.shape)} and ${weights.length} layers of weights; got ${showShape(shape)}`);
    }
  }
  requireFloat(name, x, ...expected.map(([, tensor]) => tensor));
}

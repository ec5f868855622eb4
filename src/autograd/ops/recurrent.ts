import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape, type Shape } from "../../core/shape.ts";
import { BUFFER_ALIGNMENT } from "../../device/buffers.ts";
import type { Device } from "../../device/device.ts";
import { Storage } from "../../device/storage.ts";
import { cast } from "../../kernels/cast.ts";
import { requireFloat } from "../../kernels/elementwise.ts";
import { matmul } from "../../kernels/matmul.ts";
import { lastState, recurrentBackward, recurrentForward, statesBefore, type BackwardAttrs, type Cell, type Steps } from "../../kernels/recurrent.ts";
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

/** What a layer was computed from, and what of it wants a gradient. */
interface LayerInputs {
  readonly input: Tensor;
  readonly states: readonly Tensor[];
  readonly weights: readonly Tensor[];
  /** One for each number of a step, 0 … T. */
  readonly position: readonly Tensor[];
  readonly needsInput: boolean;
  readonly needsState: boolean;
  /** Of the four weights. */
  readonly needs: readonly boolean[];
}

/** Gradients that flow through the layers: of h and c [L,B,H], and which of the last ones were given. */
interface StateGradients {
  readonly tensors: readonly Tensor[];
  readonly dhn: boolean;
  readonly dcn: boolean;
}

const PER_LAYER = 4; // tensors of RecurrentWeights

/**
 * The op of a cell over whole sequences, in one or more layers: one matrix product a layer, and T dispatches, or one where a
 * workgroup can do a batch row.
 *
 * Where x is f16, so is y; gates, cell states and all gradients stay f32, since errors add up from step to step.
 * @throws ShapeError if shapes of x, states and weights don't fit.
 */
export function recurrentOp(cell: Cell): RecurrentOp {
  const { name, gates } = cell;
  const hasMemory = cell.before === "c";
  const stateNames = hasMemory ? ["h0", "c0"] : ["h0"];
  const firstWeight = 1 + stateNames.length;
  const forwardKernel = recurrentForward(cell);
  const backwardKernel = recurrentBackward(cell);

  const statesOf = (inputs: readonly Tensor[]): readonly Tensor[] => inputs.slice(1, firstWeight);
  const weightsOf = <T>(inputs: readonly T[], layer: number): readonly T[] => inputs.slice(firstWeight + PER_LAYER * layer, firstWeight + PER_LAYER * (layer + 1));
  const trailOf = (saved: readonly Tensor[], layer: number): Trail => {
    const [y, kept, memory = null] = hasMemory ? saved.slice(3 * layer, 3 * layer + 3) : saved.slice(2 * layer, 2 * layer + 2);
    return { y, kept, memory };
  };

  function forwardLayer(input: Tensor, states: readonly Tensor[], [weightIh, weightHh, biasIh, biasHh]: readonly Tensor[], position: readonly Tensor[]): Trail {
    const [batch, steps, size] = input.shape;
    const hidden = weightHh.shape[1];
    const [flat] = run(matmul, [input.view([batch * steps, size]), weightIh, biasIh], { transposeB: true, bias: true, wide: true });
    const projected = flat.view([batch, steps, gates * hidden]);
    const sequence = (width: number, dtype: DType): Tensor => allocateTensor(input.device, { shape: [batch, steps, width * hidden], dtype }, name);
    const y = sequence(1, input.dtype);
    const memory = hasMemory ? sequence(1, "f32") : null;
    const kept = cell.keptIn === "input" ? projected : cell.keptIn === "output" ? y : sequence(cell.kept.length, "f32");
    const sequences = [...(cell.keptIn === "input" ? [] : [projected]), y, ...(memory === null ? [] : [memory]), ...(cell.keptIn === "output" ? [] : [kept])];
    const dispatch = (place: Tensor, which: Steps): Tensor[] => run(forwardKernel, [weightHh, biasHh, place, ...states, ...sequences], { steps: which });
    if (inOneDispatch(gates, { batch, steps, hidden }, input.device.limits)) dispatch(position[0], "all");
    else position.forEach((place, step) => dispatch(place, step === 0 ? "first" : "later"));
    return { y, kept, memory };
  }

  /** Takes the gradient of a layer's y to its weights and, where wanted, to its input; those of its states change in place. */
  function backwardLayer(dy: Tensor | null, dstates: StateGradients, { y, kept, memory }: Trail, layer: LayerInputs): { dinput: Tensor | null; dweights: (Tensor | null)[] } {
    const { input, states, weights: [weightIh, weightHh], position, needsInput, needsState, needs } = layer;
    const [batch, steps, size] = input.shape;
    const hidden = weightHh.shape[1];
    const before = (sequence: Tensor, first: Tensor): Tensor => run(statesBefore, [sequence, first, position[0]], {})[0];
    const hBefore = needs[1] || cell.before === "h" ? before(y, states[0]) : null;
    const earlier = memory !== null ? [before(memory, states[1])] : cell.before === "h" ? [hBefore!] : [];
    const gradient = (): Tensor => allocateTensor(input.device, { shape: [batch * steps, gates * hidden], dtype: "f32" }, `${name} gradient of gates`);
    const dprojected = gradient();
    const dsums = cell.ds === undefined ? dprojected : gradient();
    const changed = [...new Set([dprojected, dsums]), ...dstates.tensors];
    const dispatch = (place: Tensor, all: BackwardAttrs["all"]): Tensor[] => {
      return run(backwardKernel, [weightHh, place, kept, ...earlier, dy ?? y, ...changed], { dy: dy !== null, dhn: dstates.dhn, dcn: dstates.dcn, all });
    };
    if (inOneDispatch(gates, { batch, steps, hidden }, input.device.limits)) dispatch(position[0], needsState ? "states" : "steps");
    else for (const place of position.slice(needsState ? 0 : 1).toReversed()) dispatch(place, null);

    const sum = (of: Tensor): Tensor => sumTo(of, [gates * hidden]);
    const dbiasIh = needs[2] || (needs[3] && dsums === dprojected) ? sum(dprojected) : null;
    const dbiasHh = needs[3] && dsums !== dprojected ? sum(dsums) : dbiasIh;
    const dweights = [
      needs[0] ? product(dprojected, input.view([batch * steps, size]), true, false, true) : null,
      needs[1] ? product(dsums, hBefore!.view([batch * steps, hidden]), true, false, true) : null,
      needs[2] ? dbiasIh : null,
      needs[3] ? dbiasHh : null,
    ];
    return { dinput: needsInput ? product(dprojected, weightIh, false, false).view(input.shape) : null, dweights };
  }

  const op = defineOp<Record<never, never>>({
    name,
    forward(inputs) {
      const [x, h0] = inputs;
      const [layers, batch, hidden] = h0.shape;
      const steps = x.shape[1];
      const position = positions(x.device, layers, steps);
      const trails: Trail[] = [];
      for (let layer = 0; layer < layers; layer++) trails.push(forwardLayer(trails.at(-1)?.y ?? x, statesOf(inputs), weightsOf(inputs, layer), position[layer]));
      const last = (sequences: readonly Tensor[]): Tensor => {
        if (layers === 1 && steps === 1) return sequences[0].view([1, batch, hidden]); // its only states
        const lasts = allocateTensor(x.device, { shape: [layers, batch, hidden], dtype: sequences[0].dtype }, `${name} last states`);
        sequences.forEach((sequence, layer) => run(lastState, [sequence, position[layer][0], lasts], {}));
        return lasts;
      };
      const lasts = [last(trails.map(({ y }) => y)), ...(hasMemory ? [last(trails.map(({ memory }) => memory!))] : [])];
      return { outputs: [trails[layers - 1].y, ...lasts], saved: trails.flatMap(({ y, kept, memory }) => (memory === null ? [y, kept] : [y, kept, memory])) };
    },
    backward([dyLast, ...dlasts], { inputs, saved, needs }) {
      const [x, h0] = inputs;
      const [layers] = h0.shape;
      const states = statesOf(inputs);
      const position = positions(x.device, layers, x.shape[1] + 1);
      // At first the gradients of the last states, in the end those of the first ones.
      const tensors = states.map(({ shape }, i) => {
        const given = dlasts[i];
        return given === null ? allocateTensor(x.device, { shape, dtype: "f32" }, `${name} gradient of states`) : run(cast, [given], { dtype: "f32" })[0];
      });
      const dstates = { tensors, dhn: dlasts[0] !== null, dcn: hasMemory && dlasts[1] !== null };
      const dweights: (Tensor | null)[] = [];
      let dy = dyLast;
      for (let layer = layers - 1; layer >= 0; layer--) {
        const input = layer === 0 ? x : trailOf(saved, layer - 1).y;
        const own = { input, states, weights: weightsOf(inputs, layer), position: position[layer], needsInput: layer > 0 || needs[0], needsState: needs[1], needs: weightsOf(needs, layer) };
        const gradients = backwardLayer(dy, dstates, trailOf(saved, layer), own);
        dweights.unshift(...gradients.dweights);
        dy = gradients.dinput;
      }
      return [dy, ...tensors.map((dstate, i) => (needs[1 + i] ? dstate : null)), ...dweights];
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
  if (weights.length === 0) throw new ShapeError(`${name}: there must be weights of at least one layer; got none`);
  if (h0.shape.length !== 3) throw new ShapeError(`${name}: h0 must be [L, B, H]; got ${showShape(h0.shape)}`);
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

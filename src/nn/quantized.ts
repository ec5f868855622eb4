import { transpose } from "../autograd/ops/index.ts";
import { int8Embedding, int8Linear, quantize, type QuantizedMatrix } from "../autograd/ops/quantized.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { SightlineError } from "../core/errors.ts";
import type { Storage } from "../device/storage.ts";
import { Conv1D, Embedding, Linear } from "./layers.ts";
import { Module, StateTensor, type Parameter } from "./module.ts";
import { layersIn } from "./replace.ts";

/** A layer's weight [R, C] in 8 bits. In a state dict: `weight_packed` u32 [R, ⌈C/4⌉] and `weight_scales` f32 [R]. */
abstract class QuantizedLayer extends Module {
  readonly weight_packed: StateTensor;
  readonly weight_scales: StateTensor;
  private readonly columns: number;

  constructor({ packed, scales, columns }: QuantizedWeight) {
    super();
    this.weight_packed = packed;
    this.weight_scales = scales;
    this.columns = columns;
  }

  /** The weight as ops take it. */
  get weight(): QuantizedWeight {
    return { packed: this.weight_packed, scales: this.weight_scales, columns: this.columns };
  }
}

/** A matrix in 8 bits that lives as long as its module. */
export interface QuantizedWeight extends QuantizedMatrix {
  readonly packed: StateTensor;
  readonly scales: StateTensor;
}

/** The weight of a layer in 8 bits: a copy. */
export function quantizeWeight(weight: Tensor): QuantizedWeight {
  const { packed, scales, columns } = quantize(weight);
  return { packed: new StateTensor(weight.device, packed.shape, packed), scales: new StateTensor(weight.device, scales.shape, scales), columns };
}

/** {@link Linear} with its weight in 8 bits, for inference. x [..., in] → y [..., out]. */
export class QuantizedLinear extends QuantizedLayer {
  readonly bias: Parameter | null;

  constructor(weight: QuantizedWeight, bias: Parameter | null) {
    super(weight);
    this.bias = bias;
  }

  forward(x: Tensor): Tensor {
    return int8Linear(x, this.weight, this.bias ?? undefined);
  }
}

/** {@link Embedding} with its weight in 8 bits, for inference. ids [...] i32 → [..., D]. */
export class QuantizedEmbedding extends QuantizedLayer {
  forward(ids: Tensor): Tensor {
    return int8Embedding(this.weight, ids);
  }

  /** Logits of the words with the same weight: x [..., D] → [..., V]. */
  project(x: Tensor): Tensor {
    return int8Linear(x, this.weight);
  }
}

const isQuantizable = (module: Module): module is Linear | Conv1D | Embedding => module instanceof Linear || module instanceof Conv1D || module instanceof Embedding;

/** What {@link quantizeModule} changed. */
export interface QuantizationReport {
  /** Names of the layers whose weights are in 8 bits now. */
  readonly layers: readonly string[];
  /** Bytes of the whole state, before and after. */
  readonly before: number;
  readonly after: number;
}

/**
 * Puts the weights of all linear layers and embeddings of a model into 8 bits, in place: each layer is replaced by a
 * quantised one in the same field, and the old weights are given back. The model is frozen and in evaluation mode then;
 * its state dict holds `weight_packed` and `weight_scales` where `weight` was. What was shared stays shared.
 * @param keep Names of layers to leave alone, such as a small head whose errors would show.
 * @throws SightlineError if a name in `keep` is none of a layer that could be quantised, or a step is being recorded.
 */
export function quantizeModule(model: Module, { keep = [] }: { readonly keep?: readonly string[] } = {}): QuantizationReport {
  const state = model.namedTensors();
  const all = layersIn(model, isQuantizable);
  const unknown = keep.find((name) => !all.some((layer) => layer.name === name));
  if (unknown !== undefined) throw new SightlineError(`quantizeModule: "keep" must name linear layers or embeddings; got "${unknown}"`, `there are ${all.map(({ name }) => name).join(", ")}`);
  const changed = all.filter(({ name }) => !keep.includes(name));
  const before = bytesOf(model);
  const weights = new Map<Storage, QuantizedWeight>();
  const layers = new Map<Module, Module>();
  for (const { layer } of changed) {
    const { weight } = layer;
    if (weight.device.tracing !== null) throw new SightlineError("quantizeModule: a model cannot be changed while a step is recorded");
    if (!weights.has(weight.storage)) weights.set(weight.storage, quantizeWeight(layer instanceof Conv1D ? transpose(weight.detach()) : weight));
  }
  for (const { layer, replace } of changed) {
    const { weight } = layer;
    const quantized = weights.get(weight.storage)!;
    const replacement = layers.get(layer) ?? (layer instanceof Embedding ? new QuantizedEmbedding(quantized) : new QuantizedLinear(quantized, layer.bias));
    layers.set(layer, replacement);
    replace(replacement);
    weight.device.relocations++; // recordings use the old memory
  }
  const used = new Set(model.namedTensors().map(([, { storage }]) => storage));
  for (const [, tensor] of state) if (!used.has(tensor.storage)) tensor.dispose();
  for (const { device } of new Set(state.map(([, tensor]) => tensor))) device.buffers.trim();
  model.freeze().eval();
  return { layers: changed.map(({ name }) => name), before, after: bytesOf(model) };
}

/** Bytes of the state of a module; memory that is shared counts once. */
function bytesOf(model: Module): number {
  const sizes = new Map(model.namedTensors().map(([, tensor]) => [tensor.storage, tensor.bytes]));
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}

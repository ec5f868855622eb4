/** Files of LoRA adapters alone, with the names that Hugging Face's PEFT gives them. */

import { CheckpointError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { hostDType } from "../core/dtype.ts";
import { adaptersOf } from "../nn/lora.ts";
import type { Module } from "../nn/module.ts";
import { matchKeys } from "./matching.ts";
import type { CheckpointReader } from "./reader.ts";

const PEFT_PREFIX = "base_model.model.";

/** The adapters of a model as tensors and metadata for `writeSafetensors`. @throws SightlineError if it has none. */
export async function adapterState(model: Module): Promise<{ tensors: [string, HostTensor][]; metadata: Record<string, string> }> {
  const { tensors, rank, alpha } = adaptersOf(model);
  const read = [...tensors].map(async ([name, tensor]): Promise<[string, HostTensor]> => [PEFT_PREFIX + name, { dtype: hostDType(tensor.dtype), shape: tensor.shape, data: await tensor.read() }]);
  return { tensors: await Promise.all(read), metadata: { format: "pt", lora_rank: `${rank}`, lora_alpha: `${alpha}` } };
}

/**
 * Fills the adapters that `addLoRA` gave a model, from a file of ours or of PEFT.
 * @throws CheckpointError if the file belongs to other layers, another rank or another alpha; nothing is written then.
 */
export async function loadAdapters(model: Module, reader: CheckpointReader): Promise<void> {
  const { tensors, alpha } = adaptersOf(model);
  const shapes = (entries: ReadonlyMap<string, { readonly shape: readonly number[] }>): Map<string, readonly number[]> => new Map([...entries].map(([key, { shape }]) => [key, shape]));
  const prefix = [...reader.tensors.keys()].every((key) => key.startsWith(PEFT_PREFIX)) ? PEFT_PREFIX : "";
  const { assemblies } = matchKeys(shapes(tensors), shapes(reader.tensors), { file: reader.file, prefix });
  const { lora_alpha: stored } = reader.metadata;
  if (stored !== undefined && Number(stored) !== alpha) throw new CheckpointError(`${reader.file}: its adapters were trained with alpha ${stored}; the model's have ${alpha}`, `call addLoRA with alpha: ${stored}`);
  for (const [name, { pieces }] of assemblies) tensors.get(name)!.write((await reader.read(pieces[0])).data);
}

/** Files of LoRA adapters alone, with the names that Hugging Face's PEFT gives them. */

import { hostDType } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { adaptersOf } from "../nn/lora.ts";
import type { Module } from "../nn/module.ts";
import { checkTypes } from "./load.ts";
import { matchKeys } from "./matching.ts";
import { shapesOf } from "./pairing.ts";
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
  const prefix = [...reader.tensors.keys()].every((key) => key.startsWith(PEFT_PREFIX)) ? PEFT_PREFIX : "";
  const match = matchKeys(shapesOf(tensors), shapesOf(reader.tensors), { file: reader.file, prefix });
  checkTypes(tensors, match, reader);
  const { lora_alpha: stored } = reader.metadata;
  if (stored !== undefined && Number(stored) !== alpha) throw new CheckpointError(`${reader.file}: its adapters were trained with alpha ${stored}; the model's have ${alpha}`, `call addLoRA with alpha: ${stored}`);
  const read = [...match.assemblies].map(async ([name, { pieces }]) => [name, await reader.read(pieces[0])] as const);
  for (const [name, { data }] of await Promise.all(read)) tensors.get(name)!.write(data);
}

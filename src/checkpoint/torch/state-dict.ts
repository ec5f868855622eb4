/** Where the tensors of a model are in what `torch.save` was given. */

import { CheckpointError, shown } from "../../core/errors.ts";
import { describeValue, PickleRecord, type PickleDict, type PickleValue } from "./pickle-values.ts";
import { TorchTensor } from "./tensor.ts";

/** Keys under which training scripts keep the state dict beside other things. */
const WRAPPERS = ["model_state_dict", "state_dict", "model"];
const SHOWN = 12; // entries of the top level that a message lists

/** A model's tensors by name, and what stands beside their dict. */
export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  readonly values: PickleDict;
}

function isDict(value: PickleValue | undefined): value is PickleDict {
  return value instanceof Map;
}

/** Adds the tensors of a dict, and those of dicts in it with their names joined by dots. Anything else in it is no weight. */
function collect(dict: PickleDict, prefix: string, tensors: Map<string, TorchTensor>, file: string): void {
  for (const [key, value] of dict) {
    if (typeof key !== "string") continue;
    const name = `${prefix}${key}`;
    if (isDict(value)) collect(value, `${name}.`, tensors, file);
    if (!(value instanceof TorchTensor)) continue;
    if (tensors.has(name)) {
      throw new CheckpointError(`${file}: tensors must have different names; got ${shown(name)} twice`, "rename one of the nested dicts");
    }
    tensors.set(name, value);
  }
}

function listOf(root: PickleDict): string {
  const items = [...root].slice(0, SHOWN).map(([key, value]) => `${describeValue(key)}: ${describeValue(value)}`);
  const more = root.size > SHOWN ? ` and ${root.size - SHOWN} more` : "";
  return items.length === 0 ? "an empty dict" : `${items.join(", ")}${more}`;
}

/**
 * Finds the state dict: the root itself if it holds nothing but tensors, otherwise the one of `model_state_dict`,
 * `state_dict` and `model` that holds tensors.
 *
 * @throws CheckpointError that lists the top level if none or several of these do.
 */
export function stateDictOf(root: PickleValue, file: string): StateDict {
  if (!isDict(root)) {
    const hint = root instanceof PickleRecord ? "the whole model was saved, which needs its program; save model.state_dict() instead" : "save model.state_dict()";
    throw new CheckpointError(`${file}: must hold a dict of tensors; got ${describeValue(root)}`, hint);
  }
  const isBare = [...root].every(([key, value]) => typeof key === "string" && value instanceof TorchTensor);
  if (isBare) return { tensors: root as ReadonlyMap<string, TorchTensor>, values: new Map() };
  const found: { readonly key: string; readonly tensors: Map<string, TorchTensor> }[] = [];
  for (const key of WRAPPERS) {
    const dict = root.get(key);
    const tensors = new Map<string, TorchTensor>();
    if (isDict(dict)) collect(dict, "", tensors, file);
    if (tensors.size > 0) found.push({ key, tensors });
  }
  if (found.length !== 1) {
    const rule = `must hold tensors alone, or one dict of tensors called ${WRAPPERS.slice(0, -1).join(", ")} or ${WRAPPERS.at(-1)}`;
    const hint = found.length === 0 ? "save the model's state_dict()" : `save one of ${found.map(({ key }) => key).join(" and ")} alone`;
    throw new CheckpointError(`${file}: ${rule}; got ${listOf(root)}`, hint);
  }
  const [{ key: wrapper, tensors }] = found;
  return { tensors, values: new Map([...root].filter(([key]) => key !== wrapper)) };
}

/** Folders of models as PyTorch's users publish them, with what PyTorch computes: each becomes cases of the suite. */

import { hintsOf, loadPublished, type Published, type PublishedHints } from "../../src/caption/published.ts";
import { openCheckpointSource } from "../../src/checkpoint/open.ts";
import { memorySource, type CheckpointReader } from "../../src/checkpoint/reader.ts";
import { InputError } from "../../src/core/errors.ts";
import { Generator } from "../../src/core/rng.ts";
import type { Device } from "../../src/device/device.ts";
import type { Measured } from "../ops/measure.ts";
import { fieldsOf, type ModelFolder } from "./findings.ts";
import { ModelMeasure } from "./model-measure.ts";
import { measurePublished } from "./model-kinds.ts";

const VALUES = "io.safetensors"; // inputs, intermediates, outputs, gradients
const WEIGHTS = /\.(safetensors|bin|pth?)$/;

/** One file of weights. */
export interface ModelCase {
  readonly name: string;
  measure(device: Device): Promise<Measured[]>;
}

/** Sizes that no tensor tells, from a folder's JSON files. */
function hintsFor({ json }: ModelFolder): PublishedHints {
  const meta = fieldsOf(json["meta.json"]);
  const sizes = fieldsOf(meta.sizes);
  const heads = (of: Record<string, unknown>): { heads: number } | undefined => (typeof of.heads === "number" ? { heads: of.heads } : undefined);
  const named = hintsOf(json["config.json"]);
  return {
    vit: named.vit ?? heads(meta) ?? heads(fieldsOf(sizes.vit)),
    gpt2: named.gpt2 ?? heads(fieldsOf(sizes.gpt2)),
    prefixHeads: heads(fieldsOf(sizes.gpt2))?.heads, // where sizes are given, both transformers have as many
  };
}

/** The files of weights in a folder, the one with most to compare first. @throws InputError if the folder is none of a model. */
export function modelCases(folder: ModelFolder): ModelCase[] {
  const { name, files } = folder;
  const weights = Object.keys(files).filter((file) => WEIGHTS.test(file) && file !== VALUES).toSorted((a, b) => Number(b === "model.safetensors") - Number(a === "model.safetensors") || a.localeCompare(b));
  if (weights.length === 0 || files[VALUES] === undefined) {
    throw new InputError(`${name}: must hold weights (.safetensors, .pth, .pt or .bin) and ${VALUES}; got ${Object.keys(files).join(", ") || "no files"}`, "give a folder of a model, or a folder of such folders");
  }
  const [first, ...others] = weights;
  const open = (file: string): Promise<CheckpointReader> => openCheckpointSource(memorySource(files[file]), `${name}/${file}`);
  const load = async (device: Device, file: string): Promise<Published> => loadPublished({ device, generator: new Generator(0) }, await open(file), hintsFor(folder));
  return [
    {
      name,
      async measure(device) {
        const measure = new ModelMeasure(device, await open(VALUES));
        const published = await load(device, first);
        try {
          await measurePublished(published, measure, folder);
        } finally {
          published.model.dispose();
        }
        return measure.measured;
      },
    },
    ...others.map((file) => ({
      name: `${name}/${file}`,
      async measure(device: Device): Promise<Measured[]> {
        const measure = new ModelMeasure(device, await open(VALUES));
        const [one, other] = [await load(device, first), await load(device, file)];
        await measure.weights(other.model, await one.model.stateDict());
        one.model.dispose();
        other.model.dispose();
        return measure.measured;
      },
    })),
  ];
}

import { Captioner } from "../src/caption/captioner.ts";
import { MemoryFeatures, type FeatureStore } from "../src/caption/features.ts";
import { prepareCaptioner, type InitialWeights } from "../src/caption/prepare.ts";
import { readRecipe, type Recipe, type TextRecipe, type TrainingRecipe } from "../src/caption/recipe.ts";
import { recipeFor, type RecipeChoice } from "../src/caption/recipes.ts";
import type { ModelConfig, SystemName } from "../src/caption/systems.ts";
import { trainCaptioner, type CheckpointContents, type RunState, type StepProgress, type TrainingResult, type ValidationReport } from "../src/caption/training.ts";
import { decodeMetadata } from "../src/checkpoint/training-state.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { sceneSource, type SceneSource } from "../src/data/pictures.ts";
import type { Language } from "../src/data/scene-grammar.ts";
import { squash } from "../src/data/preprocess.ts";
import type { Device } from "../src/device/device.ts";

const SIDE = 16;

const GPT2 = { vocabulary: 1, positions: 1, dim: 16, layers: 2, heads: 2, mlp: 32, eps: 1e-5, activation: "gelu_tanh", crossAttention: null } as const;
const VIT = { image: SIDE, patch: 8, dim: 16, depth: 2, heads: 2, mlp: 32, qkvBias: true, eps: 1e-6, pool: "mean", norm: true, pooler: false, classes: 0 } as const;
const RESNET = { block: "basic", layers: [1, 0, 0, 1], width: 4, stem: "small-stride2", classes: 0 } as const;
const RECURRENT = { cell: "lstm", vocabulary: 1, embedding: 8, hidden: 8 } as const;

const MODELS: Readonly<Record<SystemName, ModelConfig>> = {
  story: { system: "story", encoder: { ...RESNET, classes: 8 }, gpt2: GPT2 },
  storyteller: { system: "storyteller", backbone: RESNET, grid: 2, features: 0, attention: "dot", decoder: RECURRENT },
  prefix: { system: "prefix", encoder: VIT, embedding: 8, hidden: [8], tokens: 2, layers: 1, heads: 2, feedForward: 16, gpt2: GPT2 },
  cross: { system: "cross", encoder: VIT, decoder: { ...GPT2, crossAttention: VIT.dim }, looksAt: "each" },
  encdec: { system: "encdec", encoder: RESNET, decoder: RECURRENT },
};

export interface ToyChanges {
  readonly choice?: Partial<RecipeChoice>;
  readonly text?: Partial<TextRecipe>;
  readonly training?: Partial<TrainingRecipe>;
  readonly augment?: Recipe["augment"];
}

/** A recipe whose model is as small as can be: AdamW alone, 4 pictures a step, 2 validations. */
export function toyRecipe(system: SystemName, { choice, text, training, augment = null }: ToyChanges = {}): Recipe {
  const base = recipeFor({ system, recipe: "fixed", size: "tiny", pictures: null, ...choice });
  const plain = { epochs: 2, batchSize: 4, learningRate: 3e-3, muonRate: 0, schedule: { kind: "constant" }, batchNorm: "frozen", validations: 2 } as const;
  return readRecipe({ ...base, model: MODELS[system], picture: squash(SIDE), augment, text: { ...base.text, ...text }, training: { ...base.training, ...plain, ...training } }, "");
}

export function toyScenes(train = 16, languages: readonly Language[] = ["en"]): SceneSource {
  return sceneSource(1, { train, validation: 4, test: 4 }, squash(SIDE), { languages });
}

/** A run that is over, or was stopped. */
export interface ToyRun {
  readonly result: TrainingResult;
  readonly steps: readonly StepProgress[];
  readonly validations: readonly ValidationReport[];
  readonly losses: readonly number[];
  /** Of the model, before and after. */
  readonly before: ReadonlyMap<string, HostTensor>;
  readonly after: ReadonlyMap<string, HostTensor>;
  readonly last: CheckpointContents;
  readonly best: CheckpointContents | null;
}

export interface ToyOptions {
  readonly source?: SceneSource;
  readonly features?: FeatureStore;
  readonly weights?: InitialWeights;
  /** Stops the run once this step has been reported. */
  readonly stopAt?: number;
  /** Where it goes on. */
  readonly from?: CheckpointContents;
}

/** Trains a toy, or continues to. */
export async function trainToy(device: Device, recipe: Recipe, { source = toyScenes(), features = new MemoryFeatures(), weights, stopAt = Infinity, from }: ToyOptions = {}): Promise<ToyRun> {
  const captioner = from === undefined ? await prepareCaptioner(device, source, recipe, weights) : await Captioner.fromCheckpoint(device, { tensors: new Map(from.tensors), metadata: from.metadata }, "last");
  const resume = from && { tensors: from.tensors, state: decodeMetadata(from.metadata, "last").trainer as RunState };
  const before = await captioner.model.stateDict();
  const stop = new AbortController();
  const steps: StepProgress[] = [];
  const validations: ValidationReport[] = [];
  const saved: { last: CheckpointContents | null; best: CheckpointContents | null } = { last: null, best: null };
  try {
    const result = await trainCaptioner(captioner, source, recipe, async () => features, {
      signal: stop.signal,
      onStep(progress) {
        steps.push(progress);
        if (progress.step >= stopAt) stop.abort();
      },
      onValidation: (report) => validations.push(report),
      save: async (contents, kind) => {
        saved[kind] = contents;
      },
    }, resume);
    return { result, steps, validations, losses: steps.map(({ loss }) => loss), before, after: await captioner.model.stateDict(), last: saved.last!, best: saved.best };
  } finally {
    captioner.dispose();
  }
}

/** The same run, stopped after a step and continued. */
export async function trainBroken(device: Device, recipe: Recipe, stopAt: number, source?: SceneSource): Promise<{ readonly stopped: ToyRun; readonly resumed: ToyRun }> {
  const stopped = await trainToy(device, recipe, { stopAt, source });
  return { stopped, resumed: await trainToy(device, recipe, { from: stopped.last, source }) };
}

/** Names of the tensors whose bits differ. */
export function changedTensors(before: ReadonlyMap<string, HostTensor>, after: ReadonlyMap<string, HostTensor>): string[] {
  const bits = ({ data }: HostTensor): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return [...before].filter(([name, tensor]) => !bits(tensor).equals(bits(after.get(name)!))).map(([name]) => name);
}

/** The greatest difference between two sets of tensors. */
export function greatestDifference(a: ReadonlyMap<string, HostTensor>, b: ReadonlyMap<string, HostTensor>): number {
  return Math.max(...[...a].map(([name, { data }]) => [...data].reduce((most, value, i) => Math.max(most, Math.abs(value - b.get(name)!.data[i])), 0)));
}

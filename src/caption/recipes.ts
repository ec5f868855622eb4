import { HALF, PREPROCESSING, squash, type Preprocessing } from "../data/preprocess.ts";
import { NO_AUGMENTATION, type Augmentation } from "../data/augmentation.ts";
import type { SceneCounts } from "../data/pictures.ts";
import type { SceneText } from "../data/scene-grammar.ts";
import { GPT2, type GPT2Config } from "../models/gpt2.ts";
import { RESNET, type ResNetConfig } from "../models/resnet.ts";
import { VIT, type ViTConfig } from "../models/vit.ts";
import type { Flavour, Recipe, Size, TextRecipe, TrainingRecipe } from "./recipe.ts";
import type { ModelConfig, SystemName } from "./systems.ts";

/** What a run is to be, in a few words; the rest follows. */
export interface RecipeChoice {
  readonly system: SystemName;
  readonly recipe: Flavour;
  readonly size: Size;
  /** How many captioned pictures there are to train on; null for the embedded scenes. */
  readonly pictures: number | null;
  /** Of the scenes' captions. Default 1. */
  readonly languages?: number;
  /** What is told of scenes. Default: a caption. */
  readonly text?: SceneText;
}

/** Scenes that a run uses where nothing else is asked for. */
export const SCENE_COUNTS: SceneCounts = { train: 10_000, validation: 64, test: 300 };

/** Steps that a folder of any size is trained for, at least; a small one is seen many times. */
const FOLDER_STEPS = 150;

/** Times that each picture of a folder is seen, at least. */
const FOLDER_EPOCHS = 12;

/** Below this number of pictures, they are learned by heart: one caption each, since several would only be mixed up. */
const FEW_PICTURES = 50;

/** From this number of pictures on, words that occur only once or twice are not worth learning. */
const MANY_PICTURES = 1000;

/** The recipe of a system: published at size `full`, otherwise made for adapters and data sets of that size. */
export function recipeFor(choice: RecipeChoice): Recipe {
  const { system, recipe, size } = choice;
  const base = { system, recipe, size, seed: 1, encoder: null, decoder: null, augment: null, scoring: { tokenizer: "words" } } as const;
  return size === "full" ? { ...base, ...published(system, recipe) } : { ...base, ...own(choice) };
}

type Rest = Pick<Recipe, "model" | "picture" | "text" | "training"> & Partial<Pick<Recipe, "augment" | "encoder" | "decoder">>;

/** A vocabulary's size, and the longest text of a GPT-2, follow from the captions. */
const LATER = 1;

// ——— tiny and small ———

/** Muon and a high rate: a small model learns in minutes. */
const QUICK: TrainingRecipe = {
  epochs: 3,
  batchSize: 32,
  accumulate: 1,
  learningRate: 3e-3,
  betas: [0.8, 0.95],
  weightDecay: 0.01,
  decayFor: "matrices",
  muonRate: 0.02,
  muonFor: "matrices",
  schedule: { kind: "warmup-cosine", warmup: 0.1 },
  clipNorm: 1,
  rates: {},
  stages: [],
  batchNorm: "batch",
  precision: "f32",
  checkpointing: false,
  validations: 8,
  patience: null,
  reward: null,
};

const WORDS: TextRecipe = { vocabulary: "words", size: 2048, minFrequency: 1, punctuation: "unicode", maxLength: 60, trainsEnd: true, trainsPads: false, trainsFirst: true, firstCaption: 0 };

function gpt2(dim: number, layers: number): GPT2Config {
  return { vocabulary: LATER, positions: LATER, dim, layers, heads: dim / 16, mlp: 4 * dim, eps: 1e-5, activation: "gelu_tanh", crossAttention: null };
}

function vit(image: number, patch: number, dim: number, depth: number): ViTConfig {
  return { image, patch, dim, depth, heads: dim / 16, mlp: 2 * dim, qkvBias: true, eps: 1e-6, pool: "mean", norm: true, pooler: false, classes: 0 };
}

/** Sentences must be told apart in stories, which are also longer. */
const CAPTIONS: Partial<TextRecipe> = { maxLength: 40, firstCaption: 0.4 };
const STORIES: Partial<TextRecipe> = { maxLength: 80, firstCaption: 0.4, punctuation: "sentences" };

/** The first caption is of the first language: where there are several, none comes first. Each language takes about as long as one alone. */
function sceneLearning(system: SystemName, languages: number, text: TextRecipe): Pick<Rest, "text" | "training"> {
  const training = { ...QUICK, ...SCENE_TRAINING[system] };
  if (languages === 1) return { text, training };
  return { text: { ...text, firstCaption: 0 }, training: { ...training, epochs: training.epochs * languages } };
}

function own({ system, recipe, size, pictures, languages = 1, text: told = "caption" }: RecipeChoice): Rest {
  const tiny = size === "tiny";
  const side = pictures === null ? 32 : tiny ? 64 : 128;
  const text: TextRecipe = { ...WORDS, ...quirks(system, recipe) };
  const model = ownModel(system, tiny, side, pictures === null);
  if (pictures === null) return { model, picture: squash(side), ...sceneLearning(system, languages, { ...text, ...(told === "story" ? STORIES : CAPTIONS) }) };
  const batchSize = pictures < MANY_PICTURES ? 8 : 32;
  const stepsPerEpoch = Math.max(1, Math.floor(pictures / batchSize));
  const epochs = Math.max(FOLDER_EPOCHS, Math.ceil(FOLDER_STEPS / stepsPerEpoch));
  return {
    model,
    picture: squash(side),
    text: { ...text, minFrequency: pictures < MANY_PICTURES ? 1 : 3, firstCaption: pictures < FEW_PICTURES ? 1 : 0 },
    training: { ...QUICK, ...(system === "storyteller" ? RECURRENT : {}), batchSize, epochs },
  };
}

/** Recurrent decoders take a higher rate, and their matrices are better left to AdamW. */
const RECURRENT = { learningRate: 7e-3, muonFor: "convolutions" } as const;

/** How long each system needs to get scenes right. */
const SCENE_TRAINING: Readonly<Record<SystemName, Partial<TrainingRecipe>>> = {
  story: { epochs: 12 },
  storyteller: { ...RECURRENT, epochs: 3 },
  prefix: { epochs: 12 },
  cross: { epochs: 8 },
  encdec: { ...RECURRENT, epochs: 4 },
};

function ownModel(system: SystemName, tiny: boolean, side: number, scenes: boolean): ModelConfig {
  /** Scenes are so plain that one residual block sees all there is. */
  const resnet: ResNetConfig = scenes
    ? { block: "basic", layers: [0, 1, 0, 0], width: 16, stem: "small-stride2", classes: 0 }
    : tiny
      ? { block: "basic", layers: [1, 1, 1, 1], width: 16, stem: "small-stride2", classes: 0 }
      : { ...RESNET.resnet18, width: 32, classes: 0 };
  const recurrent = { cell: "lstm", vocabulary: LATER, embedding: tiny ? 48 : 128, hidden: tiny ? 96 : 256 } as const;
  const dim = tiny ? 64 : 192;
  const decoder = gpt2(dim, tiny ? 2 : 4);
  const eye = vit(side, tiny && !scenes ? 16 : 8, dim, tiny ? 2 : 6);
  switch (system) {
    case "story":
      return { system, encoder: { ...resnet, classes: 2 * dim, grid: 4 }, gpt2: decoder };
    case "storyteller":
      return { system, backbone: resnet, grid: 4, features: 0, attention: "dot", decoder: recurrent };
    case "prefix":
      return { system, encoder: eye, embedding: 2 * dim, hidden: [4 * dim], tokens: 5, layers: 1, heads: 4, feedForward: 4 * dim, gpt2: decoder };
    case "cross":
      return { system, encoder: eye, decoder: { ...decoder, crossAttention: dim }, looksAt: "each" };
    case "encdec":
      return { system, encoder: resnet, grid: 4, attention: "dot", decoder: recurrent };
    default:
      return system satisfies never;
  }
}

// ——— full: as published ———

const ADAMW: TrainingRecipe = {
  ...QUICK,
  learningRate: 1e-4,
  betas: [0.9, 0.999],
  muonRate: 0,
  schedule: { kind: "constant" },
  clipNorm: null,
  batchNorm: "frozen",
};

const FROZEN = { encoder: 0, "encoder-top": 0 } as const;

const GPT2_TEXT: TextRecipe = { ...WORDS, vocabulary: "gpt2", minFrequency: 1 };

/** Of system 4: pictures and captions of photographs bear it. */
const CROSS_AUGMENTATION: Augmentation = {
  ...NO_AUGMENTATION,
  flip: 0.5,
  brightness: [0.8, 1.2],
  contrast: [0.8, 1.2],
  saturation: [0.8, 1.2],
  hue: [-0.05, 0.05],
  shiftScaleRotate: { shift: 0.0625, scale: 0.1, rotate: 15, probability: 0.5, border: "reflect" },
};

/** Of system 5: resized to 256, cut to 224, flipped. */
const ENCDEC_AUGMENTATION: Augmentation = { ...NO_AUGMENTATION, flip: 0.5, crop: { kind: "window", resize: 256, crop: 224 } };

/** What `compat` does otherwise than it should: the end is not learned, or pads are, or the first word never follows a start. */
function quirks(system: SystemName, recipe: Flavour): Partial<TextRecipe> {
  if (recipe === "fixed") return {};
  if (system === "story") return { trainsEnd: false };
  if (system === "cross") return { trainsFirst: false };
  if (system === "prefix") return { trainsPads: true };
  return { punctuation: "ascii" };
}

/** The published sizes, data and settings. */
function published(system: SystemName, recipe: Flavour): Rest {
  const compat = recipe === "compat";
  const adamw: TrainingRecipe = { ...ADAMW, decayFor: compat ? "all" : "matrices" };
  const text = { ...(system === "storyteller" || system === "encdec" ? { ...WORDS, minFrequency: 5 } : GPT2_TEXT), ...quirks(system, recipe) };
  const resnet50: ResNetConfig = { ...RESNET.resnet50, classes: 0 };
  const vitBase: ViTConfig = { ...VIT.vitBase, classes: 0 };
  const halfSquash: Preprocessing = { ...PREPROCESSING.imagenetSquash, ...HALF };
  const added = ["bridge", compat ? "mlp-norm" : "cross-norm"]; // what GPT-2 does not bring
  switch (system) {
    case "story":
      return {
        model: { system, encoder: { ...resnet50, classes: 512 }, gpt2: GPT2.gpt2 },
        encoder: "resnet50",
        decoder: "gpt2",
        picture: compat ? PREPROCESSING.unitSquash : PREPROCESSING.imagenetSquash,
        text: { ...text, maxLength: 100 },
        training: { ...adamw, epochs: 5, batchSize: 8, rates: compat ? { ...FROZEN, summary: 0 } : FROZEN, batchNorm: compat ? "batch" : "frozen" },
      };
    case "storyteller":
      return {
        model: { system, backbone: resnet50, grid: 1, features: 0, attention: null, decoder: { cell: "lstm", vocabulary: LATER, embedding: 256, hidden: 512 } },
        encoder: "resnet50",
        picture: PREPROCESSING.imagenetSquash,
        text: { ...text, maxLength: 50 },
        training: { ...adamw, learningRate: 1e-3, weightDecay: 0, epochs: 15, batchSize: 64, clipNorm: 5, schedule: { kind: "plateau", factor: 0.5, patience: 2 }, rates: FROZEN, validations: 15 },
      };
    case "prefix":
      return {
        model: { system, encoder: vitBase, embedding: 512, hidden: [1024, 1024, 512], tokens: 5, layers: 2, heads: 8, feedForward: 2048, gpt2: GPT2.gpt2 },
        encoder: "vit-base-timm",
        decoder: "gpt2",
        picture: compat ? PREPROCESSING.imagenetSquash : halfSquash,
        text: { ...text, maxLength: 50 },
        training: { ...adamw, epochs: 3, batchSize: 96, schedule: { kind: "step", epochs: 5, factor: 0.9 }, rates: FROZEN, precision: "f16" },
      };
    case "cross":
      return {
        model: { system, encoder: vitBase, decoder: { ...GPT2.gpt2, activation: "gelu", crossAttention: VIT.vitBase.dim }, looksAt: "each" },
        encoder: "vit-base-timm",
        decoder: "gpt2",
        picture: halfSquash,
        augment: CROSS_AUGMENTATION,
        text: { ...text, maxLength: 50 },
        training: {
          ...adamw,
          epochs: 8,
          batchSize: 32,
          weightDecay: 0,
          schedule: { kind: "one-cycle", rise: 0.3 },
          precision: "f16",
          stages: [{ epochs: 1, parts: added }, { epochs: 1, parts: ["bridge", "cross-norm", "mlp-norm", "decoder"] }],
        },
      };
    case "encdec":
      return {
        model: { system, encoder: resnet50, grid: 1, attention: null, decoder: { cell: "lstm", vocabulary: LATER, embedding: 256, hidden: 512 } },
        encoder: "resnet50",
        picture: PREPROCESSING.imagenetSquash,
        augment: ENCDEC_AUGMENTATION,
        text: { ...text, maxLength: 50 },
        training: { ...adamw, learningRate: 1e-3, weightDecay: 0, epochs: 5, batchSize: 128, rates: FROZEN },
      };
    default:
      return system satisfies never;
  }
}

import { dictionaryOf, FieldError, flag, listOf, nullable, number, oneOf, readBy, record, text, variantOf, whole, withDefault, type Reader } from "../core/schema.ts";
import { parseAugmentation, type Augmentation } from "../data/augmentation.ts";
import { parsePreprocessing, type Preprocessing } from "../data/preprocess.ts";
import { TOKENIZER_NAMES, type TokenizerName } from "./scoring.ts";
import { modelConfig, SYSTEM, SYSTEMS, type ModelConfig, type SystemName } from "./systems.ts";

/** `compat` does what the published project does, with its quirks; `fixed` mends them. */
export const FLAVOURS = ["compat", "fixed"] as const;
export type Flavour = (typeof FLAVOURS)[number];

/** `full` is the published size; `tiny` learns scenes on a processor in minutes. */
export const SIZES = ["tiny", "small", "full"] as const;
export type Size = (typeof SIZES)[number];

/** What of the captions is learned, and how it is written. */
export interface TextRecipe {
  /** Words, byte pairs learned from the captions, or GPT-2's own tokens. */
  readonly vocabulary: "words" | "byte-pairs" | "gpt2";
  /** Entries of a byte-pair vocabulary. */
  readonly size: number;
  /** Words that occur less often are unknown. */
  readonly minFrequency: number;
  /** What is stripped off words: all punctuation, all but the ends of sentences, or ASCII's as published. */
  readonly punctuation: "unicode" | "sentences" | "ascii";
  /** Longest text that is learned, words or tokens. */
  readonly maxLength: number;
  /** Whether the end word is learned; without it texts go on until they are cut. */
  readonly trainsEnd: boolean;
  /** Whether the loss counts pads too, as end words. */
  readonly trainsPads: boolean;
  /** Whether the first word is learned as what follows the start word, with which generation begins; without it training has no start word. */
  readonly trainsFirst: boolean;
  /** Share of the steps at the beginning that use the first caption of each picture alone; then one is drawn. One wording first makes the picture's part easier to find. */
  readonly firstCaption: number;
}

/** How the learning rate moves over the steps. */
export type ScheduleRecipe =
  | { readonly kind: "constant" }
  /** Rises over a share of the steps, then falls to 0 along a cosine. */
  | { readonly kind: "warmup-cosine"; readonly warmup: number }
  /** `factor` times as much every so many epochs. */
  | { readonly kind: "step"; readonly epochs: number; readonly factor: number }
  /** One rise and one fall, with momentum the other way round. */
  | { readonly kind: "one-cycle"; readonly rise: number }
  /** `factor` times as much when so many validations brought nothing better. */
  | { readonly kind: "plateau"; readonly factor: number; readonly patience: number };

/** A time at the beginning in which only some parts are trained. */
export interface Stage {
  readonly epochs: number;
  readonly parts: readonly string[];
}

/** Learning from rewards after the captions themselves: texts are drawn, and those that score above the others about a picture become likelier. */
export interface RewardRecipe {
  readonly epochs: number;
  /** Of AdamW; Muon's changes in the same proportion. */
  readonly learningRate: number;
  /** Texts that are drawn for each picture. */
  readonly samples: number;
  /** Temperature of the draws. */
  readonly temperature: number;
}

export interface TrainingRecipe {
  readonly epochs: number;
  /** Pictures a step. */
  readonly batchSize: number;
  /** Parts of equal size that a batch is computed in: more of them need less memory. */
  readonly accumulate: number;
  /** Greatest learning rate of AdamW. */
  readonly learningRate: number;
  /** Decay rates of AdamW's running means. */
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  /** What it decays: matrices alone, or biases and norms too, as in PyTorch unless one says otherwise. */
  readonly decayFor: "matrices" | "all";
  /** Greatest learning rate of Muon, which then trains convolutions and matrices; 0 leaves them to AdamW. */
  readonly muonRate: number;
  /** What Muon trains: convolutions alone, where products of larger matrices would cost more than they save, or all matrices but the tables of words and places. */
  readonly muonFor: "convolutions" | "matrices";
  readonly schedule: ScheduleRecipe;
  /** Greatest norm of all gradients of AdamW together; null for no limit. */
  readonly clipNorm: number | null;
  /** Learning rates of parts of the model, as a factor; 0 leaves a part as it is. Parts that are not named have 1. */
  readonly rates: Readonly<Record<string, number>>;
  readonly stages: readonly Stage[];
  /** Whether batch norms of an encoder that is not trained use their own statistics or those of the batch. */
  readonly batchNorm: "frozen" | "batch";
  /** f16 computes products in half precision, with the loss scaled. */
  readonly precision: "f32" | "f16";
  /** Computes what a block gave once more in the backward pass instead of keeping it: slower, in less memory. */
  readonly checkpointing: boolean;
  /** Times that the run is validated, evenly spread. */
  readonly validations: number;
  /** Validations without a better loss after which the run ends; null to go on to the end. */
  readonly patience: number | null;
  readonly reward: RewardRecipe | null;
}

/** All that decides a training run, beside the pictures: kept in the checkpoint, so that a run can be repeated. */
export interface Recipe {
  readonly system: SystemName;
  readonly recipe: Flavour;
  readonly size: Size;
  /** Decides initial weights, order of the pictures and choice of their captions. */
  readonly seed: number;
  /** Sizes of vocabulary and longest text follow from the captions, whatever stands here. */
  readonly model: ModelConfig;
  /** Published weights to begin with: a file or a name; null for weights drawn from the seed. */
  readonly encoder: string | null;
  readonly decoder: string | null;
  readonly picture: Preprocessing;
  /** Random changes to the pictures that are trained on; null for none. */
  readonly augment: Augmentation | null;
  readonly text: TextRecipe;
  readonly training: TrainingRecipe;
  /** How captions are cut into tokens where they are scored, unless another way is asked for. */
  readonly scoring: { readonly tokenizer: TokenizerName };
}

/** Epochs of a whole run: captions first, then rewards. */
export function epochsOf({ training: { epochs, reward } }: Recipe): number {
  return epochs + (reward?.epochs ?? 0);
}

const share = number(0, 1);
const rate = number(0, 1000);

const fields: Reader<Recipe> = record<Recipe>({
  system: oneOf(...SYSTEMS),
  recipe: oneOf(...FLAVOURS),
  size: oneOf(...SIZES),
  seed: whole(0, 2 ** 32 - 1),
  model: modelConfig,
  encoder: nullable(text),
  decoder: nullable(text),
  picture: readBy((value) => parsePreprocessing(value)),
  augment: nullable(readBy((value) => parseAugmentation(value))),
  text: record<TextRecipe>({
    vocabulary: oneOf("words", "byte-pairs", "gpt2"),
    size: whole(264, 100_000),
    minFrequency: whole(1),
    punctuation: oneOf("unicode", "sentences", "ascii"),
    maxLength: whole(1, 100_000),
    trainsEnd: flag,
    trainsPads: flag,
    trainsFirst: flag,
    firstCaption: share,
  }),
  training: record<TrainingRecipe>({
    epochs: whole(1, 1_000_000),
    batchSize: whole(1, 65_536),
    accumulate: whole(1, 65_536),
    learningRate: rate,
    betas: listOf(share, { least: 2, most: 2 }) as unknown as Reader<TrainingRecipe["betas"]>,
    weightDecay: rate,
    decayFor: withDefault(oneOf("matrices", "all"), "matrices"),
    muonRate: rate,
    muonFor: oneOf("convolutions", "matrices"),
    schedule: variantOf<ScheduleRecipe>("kind", {
      constant: record({ kind: oneOf("constant") }),
      "warmup-cosine": record({ kind: oneOf("warmup-cosine"), warmup: share }),
      step: record({ kind: oneOf("step"), epochs: number(1e-6), factor: share }),
      "one-cycle": record({ kind: oneOf("one-cycle"), rise: share }),
      plateau: record({ kind: oneOf("plateau"), factor: number(1e-6, 1 - 1e-6), patience: whole(0) }),
    }),
    clipNorm: nullable(number(1e-12)),
    rates: dictionaryOf(rate),
    stages: listOf(record<Stage>({ epochs: number(1e-6), parts: listOf(text, { least: 1 }) })),
    batchNorm: oneOf("frozen", "batch"),
    precision: oneOf("f32", "f16"),
    checkpointing: flag,
    validations: whole(1, 100_000),
    patience: nullable(whole(1)),
    reward: withDefault(nullable(record<RewardRecipe>({ epochs: whole(1), learningRate: rate, samples: whole(2, 64), temperature: number(0.01, 10) })), null),
  }),
  scoring: withDefault(record<Recipe["scoring"]>({ tokenizer: oneOf(...TOKENIZER_NAMES) }), { tokenizer: "words" }),
});

/** Reads a recipe from JSON. @param at Where it stands in something larger; "" where it is all. @throws FieldError that names the field at fault. */
export const readRecipe: Reader<Recipe> = (value, at) => {
  const read = fields(value, at);
  const { system, model, training, picture } = read;
  if (model.system !== system) throw new FieldError("model.system", `model.system must be "${system}", as system is; got "${model.system}"`, "leave model out, or change both");
  if ((model.system === "prefix" || model.system === "cross") && picture.size !== model.encoder.image) {
    throw new FieldError("picture.size", `picture.size must be ${model.encoder.image}, as model.encoder.image is; got ${picture.size}`, "change both, or leave both out and give --picture-size");
  }
  const part = oneOf(...SYSTEM[system].parts.map(([name]) => name));
  for (const name of Object.keys(training.rates)) part(name, `training.rates.${name}`);
  training.stages.forEach((stage, i) => {
    stage.parts.forEach((name, j) => part(name, `training.stages[${i}].parts[${j}]`));
    if (stage.parts.some((name) => training.rates[name] !== 0)) return;
    throw new FieldError(`training.stages[${i}].parts`, `training.stages[${i}].parts must name a part that is trained; got ${stage.parts.join(", ")}, which training.rates leaves as it is`, "name another part, or raise its rate");
  });
  return read;
};

import { findDecoder, findEncoder, withDecoder, withEncoder } from "./initial-weights.ts";
import type { InitialWeights } from "./prepare.ts";
import type { Recipe, TrainingRecipe } from "./recipe.ts";

/** What of a vision network is trained. */
export type TrainedEncoder = "none" | "top" | "all";

/** The training with so much of the vision network trained, at the rates that were given for it. */
export function trainingEncoder(training: TrainingRecipe, part: TrainedEncoder): TrainingRecipe {
  const { encoder, "encoder-top": top, ...rates } = training.rates;
  return { ...training, rates: { ...rates, encoder: part === "all" ? encoder || 1 : 0, "encoder-top": part === "none" ? 0 : top || 1 } };
}

/** The training for a vision network with weights drawn from the seed, which nobody may leave as they are. */
export function trainingFromScratch(training: TrainingRecipe): TrainingRecipe {
  return { ...trainingEncoder(training, "all"), batchNorm: "batch" };
}

/** A training's learning rates, moved together so that AdamW's is the given one. */
export function ratesAt(rate: number, { learningRate, muonRate }: TrainingRecipe): Pick<TrainingRecipe, "learningRate" | "muonRate"> {
  return { learningRate: rate, muonRate: muonRate > 0 && learningRate > 0 ? muonRate * (rate / learningRate) : muonRate };
}

/**
 * The recipe with what the files to begin with ask for: sizes of the networks, the way pictures are read (at size `full` the recipe's
 * own), the vocabulary of a GPT-2. A recipe that names a vision network says what of it is trained; otherwise all of it is left as it is.
 * @throws CheckpointError if a file doesn't fit the system.
 */
export function adaptRecipe(recipe: Recipe, { encoder, decoder }: InitialWeights): Recipe {
  let adapted = recipe;
  if (encoder !== undefined) {
    const found = findEncoder(encoder);
    const training = recipe.encoder === null ? trainingEncoder(recipe.training, "none") : recipe.training;
    adapted = {
      ...adapted,
      model: withEncoder(adapted.model, found, encoder.file),
      picture: recipe.size === "full" && found.picture.size === recipe.picture.size ? recipe.picture : found.picture,
      training: recipe.recipe === "compat" ? training : { ...training, batchNorm: "frozen" },
    };
  } else if (recipe.encoder !== null) {
    adapted = { ...adapted, training: trainingFromScratch(recipe.training) };
  }
  if (decoder === undefined) return adapted;
  return { ...adapted, model: withDecoder(adapted.model, findDecoder(decoder).config, decoder.file), text: { ...adapted.text, vocabulary: "gpt2" } };
}

import { DeviceGenerator } from "../autograd/random.ts";
import { tensor, type Tensor } from "../autograd/tensor.ts";
import { affine, cast, equal, gather, indexSelect, logSoftmax, maskedFill, mean, mul, reshape, sum } from "../autograd/ops/index.ts";
import type { HostInput } from "../core/host-tensor.ts";
import { threefry } from "../core/rng.ts";
import { splitTag } from "../data/language-tag.ts";
import type { PictureSet } from "../data/pictures.ts";
import { wordsOf } from "../data/vocabulary.ts";
import { ciderScorer } from "../metrics/cider.ts";
import { IGNORED } from "../models/gpt2.ts";
import { pictureBatch } from "../train/batches.ts";
import type { CaptionModel } from "./caption-model.ts";
import type { Captioner } from "./captioner.ts";
import { wordByWordDecoder, type SequenceDecoder } from "./decode.ts";
import type { RewardRecipe } from "./recipe.ts";
import type { TextModel } from "./text-model.ts";
import type { Objective, StepInputs } from "./training-step.ts";

/** Pictures whose references say how rare n-grams are: of more, the numbers would hardly change. */
const MOST_PICTURES = 200_000;

/** Pictures that are captioned at a time. */
const BATCH = 16;

/** Separates the choice of languages from all else that the seed decides. */
const LANGUAGE_STREAM = 0x1a26;

/** Stands after a text that came to its end, as a word: else texts that break off would score no worse. */
const END = "<end>";

/** A text, and whether it came to its end. */
export interface SaidText {
  readonly text: string;
  readonly ended: boolean;
}

/** CIDEr-D of texts against references in their language, ends included as words; document frequencies are those of the training set. */
export class CaptionReward {
  private readonly scoresOf: ReturnType<typeof ciderScorer>;

  constructor(train: PictureSet) {
    this.scoresOf = ciderScorer(Array.from({ length: Math.min(train.length, MOST_PICTURES) }, (_, i) => train.captions(i).map((caption) => tokensOf({ text: splitTag(caption).rest, ended: true }))));
  }

  /** @param language The tag of the texts' language, where captions have tags. */
  of(texts: readonly SaidText[], references: readonly string[], language?: string): number[] {
    const split = references.map(splitTag);
    const spoken = split.filter(({ tag }) => tag === language);
    return this.scoresOf(texts.map(tokensOf), (spoken.length > 0 ? spoken : split).map(({ rest }) => tokensOf({ text: rest, ended: true })));
  }

  /** The mean over the likeliest texts of the first pictures of a set. */
  async ofSet(captioner: Captioner, set: PictureSet, count: number): Promise<number> {
    let total = 0;
    for (let first = 0; first < count; first += BATCH) {
      const indices = Array.from({ length: Math.min(BATCH, count - first) }, (_, i) => first + i);
      const captions = await captioner.describeBatch(await pictureBatch(set, indices, captioner.preprocessing), { beam: 1 });
      captions.forEach(([{ text, ended }], i) => (total += this.of([{ text, ended: ended === "end" }], set.captions(indices[i]), captioner.codec.languages.at(0))[0]));
    }
    return total / count;
  }
}

/** What was drawn for a batch of pictures, for a step with {@link policyObjective}. */
export interface DrawnTexts extends StepInputs {
  /** Mean over all texts. */
  readonly reward: number;
}

/**
 * Draws texts for pictures, and says by how much each scores above the others about the same picture.
 *
 * Self-critical sequence training compares with the greedy text; here it is the mean of the other texts, which needs no
 * second decoding, leaves the gradient as unbiased, and varies less.
 * Source: Rennie et al. 2017, arXiv:1612.00563; Luo 2020, arXiv:2003.09971, for the mean of the others.
 */
export class RewardedDraws {
  private readonly captioner: Captioner;
  private readonly set: PictureSet;
  private readonly scores: CaptionReward;
  private readonly samples: number;
  private readonly seed: number;
  private readonly generator: DeviceGenerator;
  private readonly decoder: SequenceDecoder;

  /** @param looked Whether the pictures come as what the vision network has made of them. */
  constructor(captioner: Captioner, set: PictureSet, scores: CaptionReward, { samples, temperature }: RewardRecipe, seed: number, looked: boolean) {
    const { device, model, codec } = captioner;
    this.captioner = captioner;
    this.set = set;
    this.scores = scores;
    this.samples = samples;
    this.seed = seed;
    this.generator = new DeviceGenerator(device, seed);
    this.decoder = wordByWordDecoder(device, afterSeeing(model, this.maxLength, looked), { maxLength: this.maxLength, end: codec.end, candidates: samples, sampling: { temperature, seed: this.generator } });
  }

  /**
   * Texts for pictures of the set; what is drawn depends on the seed, the weights and the step alone.
   *
   * seen [B, ...] → words and next words i32 [B, samples, T], advantages f32 [B, samples].
   */
  async of(seen: readonly HostInput[], indices: readonly number[], step: number): Promise<DrawnTexts> {
    const { model, codec, config: { maxLength: length } } = this.captioner;
    const given = indices.map((index) => this.given(index, step));
    this.generator.state = { seed: this.seed, stream: step, counter: 0 };
    model.eval();
    const drawn = await this.decoder.decode(...seen, { shape: [given.length, given[0].length], data: Int32Array.from(given.flat()) });

    const shape = [indices.length, this.samples, length];
    const words = new Int32Array(indices.length * this.samples * length).fill(codec.pad);
    const next = new Int32Array(words.length).fill(IGNORED);
    const rewards = drawn.map((texts, row) => {
      texts.forEach(({ ids }, i) => {
        const at = (row * this.samples + i) * length;
        words.set([...given[row], ...ids.slice(0, -1)], at);
        next.set(ids, at + given[row].length - 1);
      });
      const said = texts.map(({ ids, ended }) => ({ text: codec.decode(ids), ended: ended === "end" }));
      return this.scores.of(said, this.set.captions(indices[row]), codec.languageOf(given[row]));
    });
    const advantages = Float32Array.from(rewards.flatMap(advantagesOf));
    const reward = rewards.flat().reduce((total, each) => total + each, 0) / (indices.length * this.samples);
    return { seen, texts: [{ shape, data: words }, { shape, data: next }, { shape: shape.slice(0, 2), data: advantages }], reward };
  }

  dispose(): void {
    this.decoder.dispose();
  }

  /** Words that are drawn at most: a language's tag takes the place of one. */
  private get maxLength(): number {
    const { codec, config } = this.captioner;
    return config.maxLength - (codec.languages.length > 0 ? 1 : 0);
  }

  /** The words before the first one: start, and the tag of a language that the step chooses. */
  private given(index: number, step: number): readonly number[] {
    const { codec } = this.captioner;
    const { start, languages } = codec;
    if (languages.length === 0) return [start];
    const [chosen] = threefry(this.seed, LANGUAGE_STREAM, index, step);
    return [start, ...codec.encode(`${languages[chosen % languages.length]} `)];
  }
}

/** By how much each reward lies above the mean of the others; exactly 0 where all are the same. */
export function advantagesOf(rewards: readonly number[]): number[] {
  return rewards.map((reward) => rewards.reduce((total, other) => total + (reward - other), 0) / (rewards.length - 1));
}

/** −mean over the texts of advantage · Σ log p(word), with the probabilities that the texts were drawn by. Source: Williams 1992, REINFORCE. */
export function policyObjective({ temperature }: Pick<RewardRecipe, "temperature">): Objective {
  return {
    loss(model, seen, [words, next, advantages]) {
      const [batch, samples, length] = words.shape;
      const [texts, places] = [batch * samples, batch * samples * length];
      const rows = tensor(words.device, Int32Array.from({ length: texts }, (_, i) => Math.floor(i / samples)), [texts]);
      const logits = model.logits(seen.map((part) => indexSelect(part, 0, rows)), reshape(words, [texts, length]));
      const logProbs = logSoftmax(affine(cast(reshape(logits, [places, -1]), "f32"), 1 / temperature, 0));
      const asked = reshape(next, [places, 1]);
      const unasked = equal(asked, IGNORED);
      const said = maskedFill(gather(logProbs, 1, maskedFill(asked, unasked, 0)), unasked, 0);
      return affine(mean(mul(sum(reshape(said, [texts, length]), [1]), reshape(advantages, [texts]))), -1, 0);
    },
    weight: ([{ shape: [rows] }]) => rows,
  };
}

/** Says words from what is seen, or from pictures, and the words that are given in a last input. */
function afterSeeing(model: CaptionModel, maxLength: number, looked: boolean): TextModel {
  const text = model.text(maxLength);
  return {
    begin: (...inputs: readonly Tensor[]) => text.begin(...(looked ? inputs.slice(0, -1) : model.see(inputs[0])), inputs.at(-1)!),
    next: (words, state) => text.next(words, state),
  };
}

function tokensOf({ text, ended }: SaidText): readonly string[] {
  const words = wordsOf(text);
  return ended ? [...words, END] : words;
}

import { InvalidArgumentError, Option } from "commander";
import type { DescribeOptions } from "../caption/teller.ts";
import { InputError } from "../core/errors.ts";
import { isTag, tagOf } from "../data/language-tag.ts";
import { significant } from "../core/format.ts";
import { atLeastZero, positiveNumber, wholeNumber } from "./options.ts";

const MOST_BEAMS = 64;
const MOST_WORDS = 65_536; // as many as decoders make room for

/** How texts are made, as the verbs that make some are told; what is left out is as the model's own settings say. */
export interface DecodingFlags {
  readonly beam?: number;
  readonly lengthPenalty?: number;
  /** Of --no-repeat-ngram: commander takes the "no" off, and gives true where the flag was left out. */
  readonly repeatNgram?: number | true;
  readonly repetitionPenalty?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** A tag, such as `<de>`. */
  readonly language?: string;
}

/** Which model says the words: `--model`, and `CaptionerFiles`; new options for each verb. */
export function modelOptions(): Option[] {
  return [
    new Option("--model <run>", "the folder of a run, a checkpoint, or the name of published weights (default: the newest run)"),
    new Option("--vocab <file>", "words of a published captioner, where they don't lie beside it"),
    new Option("--encoder <file|name>", "the ResNet that a published storyteller works on (default: the pulled resnet50)"),
  ];
}

/** The options of {@link DecodingFlags}, new ones for each verb. */
export function decodingOptions(): Option[] {
  return [
    new Option("--beam <n>", "texts that are followed at a time; 1 takes the likeliest word each time (default: the model's own, mostly 1)").argParser(wholeNumber(1, MOST_BEAMS)),
    new Option("--length-penalty <a>", "exponent of the length in beam scores; larger favours longer texts (default: the model's own, mostly 0.7)").argParser(atLeastZero),
    new Option("--no-repeat-ngram <n>", "say no sequence of so many words twice; 0 for no such rule").argParser(wholeNumber(0, MOST_WORDS)),
    new Option("--repetition-penalty <x>", "above 1: words that were said become less likely").argParser(positiveNumber),
    new Option("--min-length <n>", "words before which a text may not end").argParser(wholeNumber(0, MOST_WORDS)),
    new Option("--max-length <n>", "most words of a text, its end counted (default: what the model was made for)").argParser(wholeNumber(1, MOST_WORDS)),
    new Option("--temperature <t>", "draw words by chance: below 1 nearer to the likeliest, above 1 freer").argParser(positiveNumber),
    new Option("--top-k <n>", "draw from so many of the likeliest words alone").argParser(wholeNumber(1, MOST_WORDS)),
    new Option("--top-p <p>", "draw from the likeliest words alone that together have this probability").argParser(probability),
    new Option("--seed <n>", "decides what is drawn (default: 0); the same pictures in the same order give the same texts").argParser(wholeNumber(0, 2 ** 32 - 1)),
    new Option("--language <code>", "the language to speak, such as de, where the model knows several").argParser(languageTag),
  ];
}

/** What the flags say to a captioner. @throws InputError for flags that exclude each other, or a seed where nothing is drawn. */
export function decodingOf(flags: DecodingFlags): DescribeOptions {
  const { beam, lengthPenalty, repeatNgram, repetitionPenalty, minLength, maxLength, temperature, topK, topP, seed, language } = flags;
  const draws = temperature !== undefined || topK !== undefined || topP !== undefined;
  if (seed !== undefined && !draws) throw new InputError(`--seed decides which words are drawn; got ${seed} where the likeliest ones are taken`, "add --temperature 1, or leave it out");
  if (draws && beam !== undefined && beam > 1) throw new InputError(`a beam follows the likeliest texts and draws none; got --beam ${beam} and --${temperature !== undefined ? "temperature" : topK !== undefined ? "top-k" : "top-p"}`, "leave one of them out");
  if (minLength !== undefined && maxLength !== undefined && minLength > maxLength) throw new InputError(`--min-length must be at most --max-length, ${maxLength}; got ${minLength}`, "lower it");
  const noRepeatNgram = repeatNgram === true ? undefined : repeatNgram;
  return { beam, lengthPenalty, noRepeatNgram, repetitionPenalty, minLength, maxLength, language, ...(draws && { sampling: { temperature, topK, topP, seed } }) };
}

/** Decoding in a few words, as they stand beside scores: `beam of 3, no 2 words twice`. */
export function showDecoding({ beam = 1, lengthPenalty = 0.7, sampling, noRepeatNgram = 0, repetitionPenalty = 1, minLength = 0, maxLength }: DescribeOptions): string {
  const { temperature = 1, topK = 0, topP = 1, seed = 0 } = sampling ?? {};
  const rules = [
    sampling === undefined ? (beam === 1 ? "greedy decoding" : `beam of ${beam}, length penalty ${lengthPenalty}`) : `drawn at temperature ${temperature} with seed ${seed}`,
    topK === 0 ? "" : `from the ${topK} likeliest words`,
    topP === 1 ? "" : `from the likeliest ${significant(topP * 100)} %`,
    noRepeatNgram === 0 ? "" : `no ${noRepeatNgram} words twice`,
    repetitionPenalty === 1 ? "" : `repetition penalty ${repetitionPenalty}`,
    minLength === 0 ? "" : `at least ${minLength} words`,
    maxLength === undefined ? "" : `at most ${maxLength} words`,
  ];
  return rules.filter((rule) => rule !== "").join(", ");
}

function probability(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= 1)) throw new InvalidArgumentError("It must be a probability above 0 and at most 1, such as 0.9.");
  return value;
}

function languageTag(text: string): string {
  const tag = isTag(text) ? text : tagOf(text);
  if (!isTag(tag)) throw new InvalidArgumentError("It must be a language's two letters, such as de, or with a country, such as pt-BR.");
  return tag;
}

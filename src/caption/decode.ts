import { samplingValues } from "../autograd/ops/sampling.ts";
import { dtypeOf } from "../core/dtype.ts";
import { InputError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import { BeamSearch, type BeamOptions } from "./beam.ts";
import type { TextOptions } from "./held-texts.ts";
import type { SequenceDecoder } from "./hypothesis.ts";
import type { TextModel } from "./text-model.ts";
import { WordByWord, type WordByWordOptions } from "./word-by-word.ts";

export type { BeamOptions } from "./beam.ts";
export type { Hypothesis, SequenceDecoder } from "./hypothesis.ts";
export type { WordByWordOptions } from "./word-by-word.ts";

/** Shapes of inputs whose recordings and states are kept; of more, those used longest ago are given back. */
const SHAPES = 8;

/** Most words of a text: there is room for all of them from the start. */
const LONGEST = 65_536;

/** Most texts that are followed or drawn at a time for one row of the inputs: a thread holds a state's element of each. */
const WIDEST = 128;

/**
 * One text for each row of the inputs: always the likeliest word, or words drawn by chance, of which several candidates may be
 * drawn. Its score is Σ log p.
 *
 * One recording runs the inputs and the first word, a second one every word after it: nothing waits for the host, which
 * reads the words a few steps later.
 * @throws InputError for numbers outside of their range, or several candidates of the likeliest words, which make one text.
 */
export function wordByWordDecoder(device: Device, model: TextModel, options: WordByWordOptions): SequenceDecoder {
  const { sampling, candidates = 1, repetitionPenalty } = options;
  requireOptions("wordByWordDecoder", options);
  requireWhole("wordByWordDecoder", "candidates", candidates, 1, WIDEST);
  if (sampling === undefined && candidates > 1) throw new InputError(`wordByWordDecoder: the likeliest words make one text; got ${candidates} candidates`, "use sampling, or a beam");
  samplingValues({ ...sampling, repetitionPenalty });
  return byShape((batch) => new WordByWord(device, model, options, batch));
}

/**
 * The `width` likeliest texts are followed at a time, for all rows of the inputs together. States and bookkeeping stay on the
 * device: the host asks every few words whether the searches are over, and reads the finished texts at the end.
 * @throws InputError for numbers outside of their range.
 */
export function beamDecoder(device: Device, model: TextModel, options: BeamOptions): SequenceDecoder {
  const { width, alpha, repetitionPenalty } = options;
  requireOptions("beamDecoder", options);
  requireWhole("beamDecoder", "width", width, 1, WIDEST);
  if (!Number.isFinite(alpha)) throw new InputError(`beamDecoder: alpha must be a number; got ${alpha}`);
  samplingValues({ repetitionPenalty });
  return byShape((batch) => new BeamSearch(device, model, options, batch));
}

function requireOptions(what: string, { maxLength, minLength = 0, noRepeatNgram = 0 }: TextOptions): void {
  requireWhole(what, "maxLength", maxLength, 1, LONGEST);
  requireWhole(what, "minLength", minLength, 0, LONGEST);
  requireWhole(what, "noRepeatNgram", noRepeatNgram, 0, LONGEST);
}

function requireWhole(what: string, field: string, value: number, least: number, most: number): void {
  if (!(Number.isInteger(value) && value >= least && value <= most)) throw new InputError(`${what}: ${field} must be a whole number from ${least} to ${most}; got ${value}`);
}

/** A decoder for each set of shapes of the inputs: their recordings keep states of their own. */
function byShape(make: (batch: number) => SequenceDecoder): SequenceDecoder {
  const decoders = new Map<string, SequenceDecoder>(); // the one used longest ago first
  let queue: Promise<unknown> = Promise.resolve();
  const decode: SequenceDecoder["decode"] = (...inputs) => {
    if (inputs.length === 0) throw new InputError("decode: a decoder needs the inputs of its model; got none");
    const key = inputs.map(({ shape, data }) => `${dtypeOf(data)}${showShape(shape)}`).join();
    const decoder = decoders.get(key) ?? make(inputs[0].shape[0]);
    decoders.delete(key);
    decoders.set(key, decoder);
    const [[oldest, unused]] = decoders;
    if (decoders.size > SHAPES) {
      unused.dispose();
      decoders.delete(oldest);
    }
    return decoder.decode(...inputs);
  };
  return {
    decode(...inputs) {
      const decoded = queue.then(() => decode(...inputs));
      queue = decoded.catch(() => undefined);
      return decoded;
    },
    dispose() {
      for (const decoder of decoders.values()) decoder.dispose();
      decoders.clear();
    },
  };
}

import { SightlineError } from "../core/errors.ts";
import type { GeneratorState } from "../core/rng.ts";
import type { Device } from "../device/device.ts";
import { Tensor, tensor } from "./tensor.ts";

/** What {@link keepingDraws} fills, the innermost last. */
const keepers: Tensor[][] = [];

/** What {@link repeatingDraws} gives again, and how many of them it has given; null where draws are new. */
let repeated: { readonly draws: readonly Tensor[]; given: number } | null = null;

/** Runs an action; `draws` are those that it took from any generators, in order. */
export function keepingDraws<T>(action: () => T): { result: T; draws: readonly Tensor[] } {
  const draws: Tensor[] = [];
  keepers.push(draws);
  try {
    return { result: action(), draws };
  } finally {
    keepers.pop();
  }
}

/**
 * Runs an action once more, in which draws are those that it took the first time.
 * @throws SightlineError if it takes more or fewer.
 */
export function repeatingDraws<T>(draws: readonly Tensor[], action: () => T): T {
  const before = repeated;
  const now = (repeated = { draws, given: 0 });
  try {
    const result = action();
    if (now.given !== draws.length) throw changedDraws(draws.length, now.given);
    return result;
  } finally {
    repeated = before;
  }
}

function changedDraws(first: number, then: number): SightlineError {
  return new SightlineError(`repeatingDraws: a function that runs twice must draw random numbers as often both times; got ${first} draws, then ${then}`, "let nothing in it depend on how often it ran");
}

/**
 * Random numbers for kernels: each draw is a tensor that says which part of a Threefry sequence a kernel may use.
 *
 * A draw is u32 [4]: seed, stream, and a 64-bit counter, low word first. Draw n has the counter n · 2³²: up to 2³²
 * pairs of numbers that no other draw has. In a recording the draw is written anew before each replay, so that each
 * step has other numbers; the state stands in checkpoints, and a generator that goes on from it draws the same.
 */
export class DeviceGenerator {
  readonly device: Device;
  private seed: number;
  private stream: number;
  private counter = 0;

  /** @param stream Separates independent sequences of one seed. */
  constructor(device: Device, seed: number, stream = 0) {
    this.device = device;
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
  }

  /** Seed, stream and the number of draws so far. */
  get state(): GeneratorState {
    return { seed: this.seed, stream: this.stream, counter: this.counter };
  }

  set state({ seed, stream, counter }: GeneratorState) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.counter = counter;
  }

  /** The next draw; inside a recording, the next one at each replay. */
  draw(): Tensor {
    const draw = repeated === null ? this.newDraw() : repeated.draws.at(repeated.given++);
    if (draw === undefined) throw changedDraws(repeated!.draws.length, repeated!.given);
    for (const draws of keepers) draws.push(draw);
    return draw;
  }

  private newDraw(): Tensor {
    const { tracing } = this.device;
    if (tracing === null) return tensor(this.device, this.next(), [4]);
    const draw = new Tensor(this.device, [4], "u32", tracing.allocateConstant(new Uint32Array(4), "random draw"));
    tracing.onReplay(() => draw.write(this.next()));
    return draw;
  }

  private next(): Uint32Array {
    return Uint32Array.of(this.seed, this.stream, 0, this.counter++);
  }
}

/**
 * A counter-based random generator: the n-th number depends on the key and n alone, so the same numbers come out on
 * every adapter, in Node and in the browser, in any order, and the whole state is a key and a counter.
 *
 * Threefry-2x32 with 20 rounds. It needs only additions, rotations and exclusive-ors, all of which WGSL's u32 has;
 * Philox needs a 32×32→64 bit product, which it has not.
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** Two random u32 of counter (c0, c1) under key (k0, k1). */
export function threefry(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const keys = [k0 >>> 0, k1 >>> 0, (PARITY ^ k0 ^ k1) >>> 0];
  let x0 = (c0 + keys[0]) >>> 0;
  let x1 = (c1 + keys[1]) >>> 0;
  for (let round = 0; round < 20; round++) {
    const r = ROTATIONS[round % 8];
    x0 = (x0 + x1) >>> 0;
    x1 = (((x1 << r) | (x1 >>> (32 - r))) ^ x0) >>> 0;
    if (round % 4 === 3) {
      const s = (round + 1) / 4;
      x0 = (x0 + keys[s % 3]) >>> 0;
      x1 = (x1 + keys[(s + 1) % 3] + s) >>> 0;
    }
  }
  return [x0, x1];
}

/** The state of a {@link Generator}; everything needed to continue the same sequence. */
export interface GeneratorState {
  readonly seed: number;
  readonly stream: number;
  readonly counter: number;
}

/** A sequence of random numbers on the host, with a state small enough to store in a checkpoint. */
export class Generator {
  readonly seed: number;
  readonly stream: number;
  private counter = 0;

  /** @param stream Separates independent sequences of one seed (data order, augmentation, initial weights …). */
  constructor(seed: number, stream = 0) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
  }

  static from(state: GeneratorState): Generator {
    const generator = new Generator(state.seed, state.stream);
    generator.counter = state.counter;
    return generator;
  }

  get state(): GeneratorState {
    return { seed: this.seed, stream: this.stream, counter: this.counter };
  }

  /** A random u32. */
  nextU32(): number {
    const counter = this.counter++;
    return threefry(this.seed, this.stream, counter >>> 0, Math.floor(counter / 2 ** 32))[0];
  }

  /** Uniform in [0, 1), 24 bits, as the device draws it. */
  uniform(): number {
    return (this.nextU32() >>> 8) / 2 ** 24;
  }

  /** A whole number, uniform in [0, n). */
  integer(n: number): number {
    return Math.floor((this.nextU32() / 2 ** 32) * n);
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    const u = 1 - this.uniform();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** One of `items`, uniformly. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)];
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }
}

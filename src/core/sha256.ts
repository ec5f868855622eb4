/** A checksum that grows with the data: the web's own `SubtleCrypto` wants the whole file in memory at once. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Ends the hash: lower-case hexadecimal. */
  digest(): string;
}

const BLOCK = 64; // bytes
const ROUNDS = 64;

/** The first 32 bits of the fractional part of a root of each of the first 64 primes. */
function fractionBits(root: (prime: number) => number, count: number): Int32Array {
  const bits = new Int32Array(count);
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor++) isPrime &&= candidate % divisor !== 0;
    if (isPrime) bits[found++] = ((root(candidate) % 1) * 2 ** 32) | 0;
  }
  return bits;
}

const INITIAL = fractionBits(Math.sqrt, 8);
const CONSTANTS = fractionBits(Math.cbrt, ROUNDS);

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/**
 * SHA-256 of a stream of bytes, for browsers; Node hashes with `node:crypto` behind the same interface.
 * Source: FIPS 180-4.
 */
export class Sha256 implements Hasher {
  private readonly state = INITIAL.slice();
  private readonly schedule = new Int32Array(ROUNDS);
  private readonly block = new Uint8Array(BLOCK);
  private readonly words = new DataView(this.block.buffer);
  private filled = 0; // bytes that wait in `block`
  private length = 0; // bytes in all

  update(bytes: Uint8Array): void {
    this.length += bytes.length;
    for (let taken = 0; taken < bytes.length; ) {
      const part = bytes.subarray(taken, taken + BLOCK - this.filled);
      this.block.set(part, this.filled);
      taken += part.length;
      this.filled += part.length;
      if (this.filled === BLOCK) this.compress();
    }
  }

  digest(): string {
    const bits = this.length * 8;
    this.update(Uint8Array.of(0x80));
    if (this.filled > BLOCK - 8) this.update(new Uint8Array(BLOCK - this.filled));
    this.block.fill(0, this.filled);
    this.words.setUint32(BLOCK - 8, Math.floor(bits / 2 ** 32));
    this.words.setUint32(BLOCK - 4, bits >>> 0);
    this.compress();
    return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  private compress(): void {
    const { schedule: w, state } = this;
    for (let i = 0; i < 16; i++) w[i] = this.words.getInt32(4 * i);
    for (let i = 16; i < ROUNDS; i++) {
      const s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7]; // no iterator: this is the hot loop
    for (let i = 0; i < ROUNDS; i++) {
      const t1 = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + CONSTANTS[i] + w[i]) | 0;
      const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
    this.filled = 0;
  }
}

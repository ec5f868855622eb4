/** Packed data that make no sense or end early; the decoder of the file turns it into an InputError. */
export class InflateError extends Error {}

/** A Huffman code, ready for decoding. */
interface Code {
  /** For the next {@link LOOKUP_BITS} bits: symbol << 4 | length of its code, or 0 where the code is longer. */
  readonly lookup: Uint16Array;
  /** Number of codes by length. */
  readonly counts: Uint16Array;
  /** Symbols in the order of their codes. */
  readonly symbols: Uint16Array;
}

const LOOKUP_BITS = 10;
const MAX_CODE_BITS = 15;
const END_OF_BLOCK = 256;

/** A byte of deflate unpacks to at most this many: 258 at a time, from a length and a distance of one bit each. */
const MAX_RATIO = 1032;

/** Order in which the lengths of the codes for code lengths are stored. */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const DISTANCE_EXTRA = Array.from({ length: 30 }, (_, i) => Math.max(0, (i >> 1) - 1));
const DISTANCE_BASE = DISTANCE_EXTRA.map((_, i) => 1 + DISTANCE_EXTRA.slice(0, i).reduce((sum, bits) => sum + 2 ** bits, 0));

// Built once: a block of them can take as little as 10 bits.
const FIXED_LENGTHS = codeOf(Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_DISTANCES = codeOf(new Uint8Array(30).fill(5));

/**
 * Unpacks the first `length` bytes of a zlib stream, and no more: neither time nor memory depend on what the stream claims. Its checksum isn't looked at.
 * @throws InflateError if the stream is damaged or holds fewer bytes; if it cannot hold as many, before memory is taken for them.
 * Source: RFC 1950, RFC 1951.
 */
export function inflate(packed: Uint8Array, length: number): Uint8Array {
  if (packed.length < 2 || (packed[0] & 15) !== 8 || (packed[1] & 32) !== 0 || ((packed[0] << 8) | packed[1]) % 31 !== 0) throw new InflateError("no zlib stream");
  if (length > packed.length * MAX_RATIO) throw new InflateError(`${packed.length} bytes cannot unpack to ${length}`);
  const inflater = new Inflater(packed.subarray(2), new Uint8Array(length));
  inflater.run();
  return inflater.out;
}

class Inflater {
  readonly out: Uint8Array;
  private readonly packed: Uint8Array;
  private offset = 0;
  /** The lowest `count` bits are yet to be read. */
  private bits = 0;
  private count = 0;
  private to = 0;

  constructor(packed: Uint8Array, out: Uint8Array) {
    this.packed = packed;
    this.out = out;
  }

  run(): void {
    for (let last = false; !last && this.to < this.out.length; ) {
      last = this.read(1) === 1;
      const kind = this.read(2);
      if (kind === 0) this.copyStored();
      else if (kind === 1) this.unpackBlock(FIXED_LENGTHS, FIXED_DISTANCES);
      else if (kind === 2) this.unpackBlock(...this.readCodes());
      else throw new InflateError("a block of unknown kind");
    }
    if (this.to < this.out.length) throw new InflateError(`it unpacks to ${this.to} of ${this.out.length} bytes`);
    if (this.offset - (this.count >> 3) > this.packed.length) throw new InflateError("it ends early");
  }

  /** Brings at least 25 bits; behind the end these are zeros, for as long as a symbol takes. */
  private fill(): void {
    if (this.offset > this.packed.length + 8) throw new InflateError("it ends early");
    while (this.count <= 24) {
      this.bits |= (this.packed[this.offset++] ?? 0) << this.count;
      this.count += 8;
    }
  }

  /** The next `length` bits, at most 16, as a number. */
  private read(length: number): number {
    if (this.count < length) this.fill();
    const value = this.bits & ((1 << length) - 1);
    this.bits >>>= length;
    this.count -= length;
    return value;
  }

  private symbol({ lookup, counts, symbols }: Code): number {
    if (this.count < MAX_CODE_BITS) this.fill();
    const short = lookup[this.bits & ((1 << LOOKUP_BITS) - 1)];
    if (short !== 0) {
      this.bits >>>= short & 15;
      this.count -= short & 15;
      return short >> 4;
    }
    // Codes of one length are consecutive numbers, and longer ones come after them.
    for (let length = 1, code = 0, first = 0, place = 0; length <= MAX_CODE_BITS; length++) {
      code = (code << 1) | ((this.bits >>> (length - 1)) & 1);
      first <<= 1;
      if (code - first < counts[length]) {
        this.bits >>>= length;
        this.count -= length;
        return symbols[place + code - first];
      }
      first += counts[length];
      place += counts[length];
    }
    throw new InflateError("bits that no code begins with");
  }

  private copyStored(): void {
    this.read(this.count & 7);
    const length = this.read(16);
    if ((length ^ this.read(16)) !== 0xffff) throw new InflateError("a stored block whose length makes no sense");
    const from = this.offset - (this.count >> 3);
    if (from + length > this.packed.length) throw new InflateError("it ends early");
    const taken = Math.min(length, this.out.length - this.to);
    this.out.set(this.packed.subarray(from, from + taken), this.to);
    this.to += taken;
    this.offset = from + length;
    this.bits = this.count = 0;
  }

  private readCodes(): [lengths: Code, distances: Code] {
    const [lengthCodes, distanceCodes, stored] = [this.read(5) + 257, this.read(5) + 1, this.read(4) + 4];
    const ofLengths = new Uint8Array(19);
    for (let i = 0; i < stored; i++) ofLengths[LENGTH_ORDER[i]] = this.read(3);
    const code = codeOf(ofLengths);
    const lengths = new Uint8Array(lengthCodes + distanceCodes);
    for (let i = 0; i < lengths.length; ) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new InflateError("a repeated length without one before it");
      const [value, times] = symbol === 16 ? [lengths[i - 1], 3 + this.read(2)] : [0, symbol === 17 ? 3 + this.read(3) : 11 + this.read(7)];
      if (i + times > lengths.length) throw new InflateError("more code lengths than codes");
      lengths.fill(value, i, i + times);
      i += times;
    }
    return [codeOf(lengths.subarray(0, lengthCodes)), codeOf(lengths.subarray(lengthCodes))];
  }

  private unpackBlock(lengths: Code, distances: Code): void {
    const { out } = this;
    while (this.to < out.length) {
      const symbol = this.symbol(lengths);
      if (symbol < END_OF_BLOCK) {
        out[this.to++] = symbol;
        continue;
      }
      if (symbol === END_OF_BLOCK) return;
      const kind = symbol - END_OF_BLOCK - 1;
      if (kind >= LENGTH_BASE.length) throw new InflateError("a length of unknown kind");
      const length = LENGTH_BASE[kind] + this.read(LENGTH_EXTRA[kind]);
      const far = this.symbol(distances);
      if (far >= DISTANCE_BASE.length) throw new InflateError("a distance of unknown kind");
      const distance = DISTANCE_BASE[far] + this.read(DISTANCE_EXTRA[far]);
      if (distance > this.to) throw new InflateError(`a copy from ${distance} bytes before, at byte ${this.to}`);
      const end = Math.min(this.to + length, out.length);
      if (distance === 1) out.fill(out[this.to - 1], this.to, end);
      else for (let to = this.to; to < end; to++) out[to] = out[to - distance];
      this.to = end;
    }
  }
}

/** @throws InflateError if there are more codes of a length than that length has room for. */
function codeOf(lengths: Uint8Array): Code {
  const counts = new Uint16Array(MAX_CODE_BITS + 1);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  const lookup = new Uint16Array(1 << LOOKUP_BITS);
  const symbols = new Uint16Array(lengths.length);
  const places = new Uint16Array(MAX_CODE_BITS + 1);
  const codes = new Uint16Array(MAX_CODE_BITS + 1);
  for (let length = 1, code = 0, place = 0; length <= MAX_CODE_BITS; length++) {
    code <<= 1;
    codes[length] = code;
    places[length] = place;
    code += counts[length];
    place += counts[length];
    if (code > 1 << length) throw new InflateError(`${counts[length]} codes of ${length} bits, more than there is room for`);
  }
  for (const [symbol, length] of lengths.entries()) {
    if (length === 0) continue;
    symbols[places[length]++] = symbol;
    const code = codes[length]++;
    if (length > LOOKUP_BITS) continue;
    for (let at = reversed(code, length); at < lookup.length; at += 1 << length) lookup[at] = (symbol << 4) | length;
  }
  return { lookup, counts, symbols };
}

/** Codes are read from their highest bit, everything else from its lowest. */
function reversed(code: number, length: number): number {
  let result = 0;
  for (let bit = 0; bit < length; bit++) result |= ((code >> bit) & 1) << (length - 1 - bit);
  return result;
}

/** Coded data that make no sense; `decodeJpeg` turns it into an InputError that names the file. */
export class JpegDataError extends Error {}

/** A Huffman code, ready for decoding. */
export interface HuffmanTable {
  /** For the next {@link LOOKUP_BITS} bits: length of the code << 8 | its symbol, or 0 where the code is longer. */
  readonly lookup: Uint16Array;
  /** By length: one more than the last code of that length, and what turns a code into the place of its symbol. */
  readonly limit: Int32Array;
  readonly shift: Int32Array;
  readonly symbols: Uint8Array;
}

const LOOKUP_BITS = 9;
const MAX_CODE_BITS = 16;

/**
 * Builds the decoder of a Huffman code.
 * @param counts Number of codes of 1 to 16 bits [16].
 * @throws JpegDataError if there are more codes of a length than that length has room for.
 * Source: ITU-T T.81, annex C.
 */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const lookup = new Uint16Array(1 << LOOKUP_BITS);
  const limit = new Int32Array(MAX_CODE_BITS + 1);
  const shift = new Int32Array(MAX_CODE_BITS + 1);
  let [code, place] = [0, 0];
  for (let length = 1; length <= MAX_CODE_BITS; length++, code <<= 1) {
    const count = counts[length - 1];
    if (code + count > 1 << length) throw new JpegDataError(`a Huffman table has ${count} codes of ${length} bits too many`);
    shift[length] = place - code;
    if (length <= LOOKUP_BITS) {
      const copies = 1 << (LOOKUP_BITS - length);
      for (let i = 0; i < count; i++) lookup.fill((length << 8) | symbols[place + i], (code + i) * copies, (code + i + 1) * copies);
    }
    code += count;
    place += count;
    limit[length] = code;
  }
  return { lookup, limit, shift, symbols };
}

/** Reads the coded bits of a scan, which end at a marker. */
export class BitReader {
  private readonly bytes: Uint8Array;
  private offset: number;
  /** The lowest `count` bits are yet to be read; `invented` of these are zeros behind the end. */
  private bits = 0;
  private count = 0;
  private invented = 0;

  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes;
    this.offset = offset;
  }

  /** The next `length` bits, at most 16, as a number. */
  read(length: number): number {
    if (this.count < length) this.fill();
    this.count -= length;
    return (this.bits >>> this.count) & ((1 << length) - 1);
  }

  /** A number of `length` bits, of which those that begin with 0 stand for negative ones. */
  readSigned(length: number): number {
    if (length === 0) return 0;
    const value = this.read(length);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  /** The next symbol of a Huffman code. */
  symbol({ lookup, limit, shift, symbols }: HuffmanTable): number {
    if (this.count < MAX_CODE_BITS) this.fill();
    const ahead = (this.bits >>> (this.count - MAX_CODE_BITS)) & 0xffff;
    const short = lookup[ahead >> (MAX_CODE_BITS - LOOKUP_BITS)];
    if (short !== 0) {
      this.count -= short >> 8;
      return short & 255;
    }
    for (let length = LOOKUP_BITS + 1; length <= MAX_CODE_BITS; length++) {
      const code = ahead >> (MAX_CODE_BITS - length);
      if (code < limit[length]) {
        this.count -= length;
        return symbols[code + shift[length]];
      }
    }
    throw new JpegDataError("bits that no Huffman code begins with");
  }

  /** @throws JpegDataError if more bits were read than there are. */
  checkEnd(): void {
    if (this.count < this.invented) throw new JpegDataError("its pixel data end early");
  }

  /**
   * Goes on behind the next marker, which must be a restart.
   * @param number Restarts count from 0 to 7 and begin again.
   */
  restart(number: number): void {
    const { bytes } = this;
    while (this.offset + 1 < bytes.length && !(bytes[this.offset] === 0xff && bytes[this.offset + 1] !== 0 && bytes[this.offset + 1] !== 0xff)) this.offset++;
    if (bytes[this.offset + 1] !== 0xd0 + number) throw new JpegDataError(`restart ${number} is missing at byte ${this.offset}`);
    this.offset += 2;
    this.bits = this.count = this.invented = 0;
  }

  /** Brings at least 24 bits. */
  private fill(): void {
    const { bytes } = this;
    while (this.count <= 24) {
      let byte = bytes[this.offset];
      if (byte === undefined || (byte === 0xff && bytes[this.offset + 1] !== 0)) {
        byte = 0;
        this.invented += 8;
      } else {
        this.offset += byte === 0xff ? 2 : 1; // FF 00 stands for FF
      }
      this.bits = (this.bits << 8) | byte;
      this.count += 8;
    }
  }
}

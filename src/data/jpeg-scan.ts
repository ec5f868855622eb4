import { BitReader, type HuffmanTable, JpegDataError } from "./jpeg-bits.ts";

/** A component's coefficients. */
export interface Coefficients {
  readonly horizontal: number;
  readonly vertical: number;
  /** Blocks that the picture covers, [down, across]. */
  readonly across: number;
  readonly down: number;
  /** Blocks in a stored row: filled up to whole units of all components. */
  readonly rowBlocks: number;
  /** 64 a block, in the order of the picture (row by row of frequencies), not yet multiplied by the quantisation table. */
  readonly values: Int16Array;
  /** Of each block, the place in coded order behind its last coefficient that isn't zero; 0 where it has none but its mean. */
  readonly ends: Uint8Array;
  /** Of each coefficient in coded order, the low bits that are still to come, or {@link NOTHING_YET} [64]. */
  readonly missingBits: Int8Array;
}

export const NOTHING_YET = -1;

export interface ScanComponent {
  readonly coefficients: Coefficients;
  readonly dc: HuffmanTable | undefined;
  readonly ac: HuffmanTable | undefined;
}

/** What a scan brings: of each block the coefficients `first` to `last`, and of these the bits from `low` on; `high` is 0 where they are new. */
export interface Scan {
  readonly components: readonly ScanComponent[];
  readonly progressive: boolean;
  readonly first: number;
  readonly last: number;
  readonly high: number;
  readonly low: number;
  /** Units between two restarts; 0 for none. */
  readonly restartInterval: number;
  /** Units of all components, [down, across]. */
  readonly unitsAcross: number;
  readonly unitsDown: number;
}

/** Place of the i-th coded coefficient in its block. */
export const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30,
  37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
);

/** Decodes one block, whose coefficients begin at `at`. */
type BlockDecoder = (component: ScanComponent, index: number, at: number) => void;

/**
 * Decodes the scan whose coded bits begin at byte `offset`.
 * @throws JpegDataError if they end early or make no sense.
 * Source: ITU-T T.81, annexes F.2 (sequential) and G.2 (progressive).
 */
export function decodeScan(bytes: Uint8Array, offset: number, scan: Scan): void {
  const { components, restartInterval, unitsAcross, unitsDown } = scan;
  const reader = new BitReader(bytes, offset);
  const state: ScanState = { reader, scan, means: components.map(() => 0), emptyBlocks: 0 };
  const decodeBlock = blockDecoder(state);
  const beginUnit = (unit: number): void => {
    if (restartInterval === 0 || unit === 0 || unit % restartInterval !== 0) return;
    reader.checkEnd();
    reader.restart((unit / restartInterval - 1) % 8);
    state.means.fill(0);
    state.emptyBlocks = 0;
  };
  if (components.length === 1) {
    const { across, down, rowBlocks } = components[0].coefficients;
    for (let y = 0, unit = 0; y < down; y++) {
      for (let x = 0; x < across; x++, unit++) {
        beginUnit(unit);
        decodeBlock(components[0], 0, (y * rowBlocks + x) * 64);
      }
      reader.checkEnd();
    }
    return;
  }
  for (let y = 0, unit = 0; y < unitsDown; y++) {
    for (let x = 0; x < unitsAcross; x++, unit++) {
      beginUnit(unit);
      for (let c = 0; c < components.length; c++) {
        const { horizontal, vertical, rowBlocks } = components[c].coefficients;
        for (let v = 0; v < vertical; v++) {
          for (let h = 0; h < horizontal; h++) decodeBlock(components[c], c, ((y * vertical + v) * rowBlocks + x * horizontal + h) * 64);
        }
      }
    }
    reader.checkEnd();
  }
}

interface ScanState {
  readonly reader: BitReader;
  readonly scan: Scan;
  /** Of each component, the last block's mean, from which the next one's is told. */
  readonly means: number[];
  /** Blocks ahead in which nothing is new. */
  emptyBlocks: number;
}

function blockDecoder(state: ScanState): BlockDecoder {
  const { progressive, first, last, high, low, components } = state.scan;
  if (!progressive) {
    noteProgress(components, 0, 63, NOTHING_YET, 0);
    return sequential(state);
  }
  if (last > 63 || first > last || low > 13 || (first === 0 && last > 0) || (first > 0 && components.length > 1)) {
    throw new JpegDataError(`a scan of coefficients ${first} to ${last} from bit ${low} of ${components.length} components`);
  }
  if (high !== 0 && high !== low + 1) throw new JpegDataError(`a scan that goes from bit ${high} to bit ${low}`);
  noteProgress(components, first, last, high === 0 ? NOTHING_YET : high, low);
  if (first === 0) return high === 0 ? newMean(state) : refinedMean(state);
  return high === 0 ? newDetails(state) : refinedDetails(state);
}

/** No scan may bring what is there already, so that the work on a picture has an end. */
function noteProgress(components: readonly ScanComponent[], first: number, last: number, before: number, after: number): void {
  for (const { coefficients } of components) {
    const band = coefficients.missingBits.subarray(first, last + 1);
    if (band.some((bits) => bits !== before)) throw new JpegDataError(`a scan that brings coefficients ${first} to ${last} twice or out of order`);
    band.fill(after);
  }
}

function table(code: HuffmanTable | undefined): HuffmanTable {
  if (!code) throw new JpegDataError("a scan without its Huffman table");
  return code;
}

/** How far a block's mean is from the last one's. */
function meanDifference(reader: BitReader, dc: HuffmanTable | undefined): number {
  const length = reader.symbol(table(dc));
  if (length > 15) throw new JpegDataError(`a mean of ${length} bits`);
  return reader.readSigned(length);
}

function sequential({ reader, means }: ScanState): BlockDecoder {
  return ({ coefficients: { values, ends }, dc, ac }, index, at) => {
    means[index] += meanDifference(reader, dc);
    values[at] = means[index];
    const details = table(ac);
    for (let k = 1; k < 64; k++) {
      const symbol = reader.symbol(details);
      const [zeros, length] = [symbol >> 4, symbol & 15];
      if (length === 0) {
        if (zeros < 15) return;
        k += 15;
        continue;
      }
      k += zeros;
      if (k > 63) throw new JpegDataError("a block of more than 64 coefficients");
      values[at + ZIGZAG[k]] = reader.readSigned(length);
      ends[at >> 6] = k + 1;
    }
  };
}

function newMean({ reader, means, scan: { low } }: ScanState): BlockDecoder {
  return ({ coefficients: { values }, dc }, index, at) => {
    means[index] += meanDifference(reader, dc);
    values[at] = means[index] << low;
  };
}

function refinedMean({ reader, scan: { low } }: ScanState): BlockDecoder {
  return ({ coefficients: { values } }, _, at) => {
    values[at] |= reader.read(1) << low;
  };
}

function newDetails(state: ScanState): BlockDecoder {
  const { reader, scan } = state;
  const { first, last, low } = scan;
  return ({ coefficients: { values, ends }, ac }, _, at) => {
    if (state.emptyBlocks > 0) {
      state.emptyBlocks--;
      return;
    }
    const details = table(ac);
    for (let k = first; k <= last; k++) {
      const symbol = reader.symbol(details);
      const [zeros, length] = [symbol >> 4, symbol & 15];
      if (length === 0) {
        if (zeros < 15) {
          state.emptyBlocks = (1 << zeros) + reader.read(zeros) - 1;
          return;
        }
        k += 15;
        continue;
      }
      k += zeros;
      if (k > last) throw new JpegDataError(`a coefficient past the scan's last, ${last}`);
      values[at + ZIGZAG[k]] = reader.readSigned(length) << low;
      ends[at >> 6] = Math.max(ends[at >> 6], k + 1);
    }
  };
}

function refinedDetails(state: ScanState): BlockDecoder {
  const { reader, scan } = state;
  const { first, last, low } = scan;
  const bit = 1 << low;
  /** One more bit for a coefficient that is known already. */
  const refine = (values: Int16Array, place: number): void => {
    if (reader.read(1) === 0 || (values[place] & bit) !== 0) return;
    values[place] += values[place] > 0 ? bit : -bit;
  };
  return ({ coefficients: { values, ends }, ac }, _, at) => {
    let k = first;
    for (; state.emptyBlocks === 0 && k <= last; k++) {
      const symbol = reader.symbol(table(ac));
      const [zeros, length] = [symbol >> 4, symbol & 15];
      if (length === 0 && zeros < 15) {
        state.emptyBlocks = (1 << zeros) + reader.read(zeros);
        break;
      }
      const value = length === 0 ? 0 : reader.read(1) === 1 ? bit : -bit;
      // The new coefficient comes after `zeros` places that stay zero; those in between that are known get their bit.
      for (let left = zeros; k <= last; k++) {
        const place = at + ZIGZAG[k];
        if (values[place] !== 0) refine(values, place);
        else if (--left < 0) break;
      }
      if (value === 0) continue;
      if (k > last) throw new JpegDataError(`a coefficient past the scan's last, ${last}`);
      values[at + ZIGZAG[k]] = value;
      ends[at >> 6] = Math.max(ends[at >> 6], k + 1);
    }
    if (state.emptyBlocks === 0) return;
    for (const end = Math.min(last + 1, ends[at >> 6]); k < end; k++) {
      const place = at + ZIGZAG[k];
      if (values[place] !== 0) refine(values, place);
    }
    state.emptyBlocks--;
  };
}

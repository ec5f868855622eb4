import { type HuffmanTable, huffmanTable, JpegDataError } from "./jpeg-bits.ts";
import { type JpegComponent, type JpegHeader, type Segment, segments, START_OF_SCAN } from "./jpeg-header.ts";
import { samplesOf } from "./jpeg-idct.ts";
import { type Coefficients, decodeScan, NOTHING_YET, type ScanComponent, ZIGZAG } from "./jpeg-scan.ts";
import { type RowReader, rowReader } from "./jpeg-upsample.ts";

const QUANTISATION_TABLES = 0xdb;
const HUFFMAN_TABLES = 0xc4;
const RESTART_INTERVAL = 0xdd;

/** A picture in units, the smallest rectangles that hold whole blocks of every component. */
export interface Units {
  /** The largest sampling factors. */
  readonly horizontal: number;
  readonly vertical: number;
  readonly across: number;
  readonly down: number;
}

/** What segments between the scans change. */
interface Tables {
  /** [64], in the order of the picture, by number. */
  readonly quantisation: Map<number, Uint16Array>;
  readonly dc: Map<number, HuffmanTable>;
  readonly ac: Map<number, HuffmanTable>;
  restartInterval: number;
}

interface Component extends JpegComponent {
  readonly coefficients: Coefficients;
  /** As it was at its first scan. */
  table: Uint16Array | undefined;
}

/**
 * Decodes the components of a JPEG, each of which is then read row by row at the picture's full size.
 *
 * All coefficients are kept until the last scan, since progressive pictures add to them.
 * @throws JpegDataError if its tables or coded pixels make no sense.
 */
export function decodeComponents(bytes: Uint8Array, header: JpegHeader, units: Units, name: string): RowReader[] {
  const tables: Tables = { quantisation: new Map(), dc: new Map(), ac: new Map(), restartInterval: 0 };
  const components = header.components.map((component): Component => ({ ...component, coefficients: coefficientsOf(component, header, units), table: undefined }));
  for (const segment of segments(bytes, name)) {
    const { marker, body } = segment;
    if (marker === QUANTISATION_TABLES) readQuantisation(body, tables);
    else if (marker === HUFFMAN_TABLES) readHuffman(body, tables);
    else if (marker === RESTART_INTERVAL) tables.restartInterval = (body[0] << 8) | body[1];
    else if (marker === START_OF_SCAN) readScan(bytes, segment, components, tables, header.progressive, units);
  }
  return components.map(({ coefficients, table, horizontal, vertical, id }) => {
    if (!table) throw new JpegDataError(`component ${id} has no scan`);
    const [columns, lines] = [units.horizontal / horizontal, units.vertical / vertical];
    return rowReader(samplesOf(coefficients, table, Math.ceil(header.width / columns), Math.ceil(header.height / lines)), columns, lines);
  });
}

function coefficientsOf({ horizontal, vertical }: JpegComponent, { width, height }: JpegHeader, units: Units): Coefficients {
  const rowBlocks = units.across * horizontal;
  const blocks = rowBlocks * units.down * vertical;
  return {
    horizontal,
    vertical,
    across: Math.ceil((width * horizontal) / units.horizontal / 8),
    down: Math.ceil((height * vertical) / units.vertical / 8),
    rowBlocks,
    values: new Int16Array(blocks * 64),
    ends: new Uint8Array(blocks),
    missingBits: new Int8Array(64).fill(NOTHING_YET),
  };
}

function readQuantisation(body: Uint8Array, { quantisation }: Tables): void {
  for (let at = 0; at < body.length; ) {
    const [wide, number] = [body[at] >> 4, body[at] & 15];
    const bytesEach = wide === 0 ? 1 : 2;
    if (wide > 1 || at + 1 + 64 * bytesEach > body.length) throw new JpegDataError("a quantisation table of the wrong length");
    const table = new Uint16Array(64);
    for (let k = 0; k < 64; k++) {
      const from = at + 1 + k * bytesEach;
      table[ZIGZAG[k]] = wide === 0 ? body[from] : (body[from] << 8) | body[from + 1];
    }
    quantisation.set(number, table);
    at += 1 + 64 * bytesEach;
  }
}

function readHuffman(body: Uint8Array, { dc, ac }: Tables): void {
  for (let at = 0; at < body.length; ) {
    const counts = body.subarray(at + 1, at + 17);
    const end = at + 17 + counts.reduce((sum, count) => sum + count, 0);
    if (end > body.length) throw new JpegDataError("a Huffman table of the wrong length");
    (body[at] >> 4 === 0 ? dc : ac).set(body[at] & 15, huffmanTable(counts, body.subarray(at + 17, end)));
    at = end;
  }
}

function readScan(bytes: Uint8Array, { body, end }: Segment, all: readonly Component[], tables: Tables, progressive: boolean, units: Units): void {
  const count = body[0];
  if (count < 1 || count > all.length || body.length < 4 + 2 * count) throw new JpegDataError(`a scan of ${count} components in ${body.length} bytes`);
  const components = Array.from({ length: count }, (_, i): ScanComponent => {
    const [id, codes] = body.subarray(1 + 2 * i);
    const component = all.find((c) => c.id === id);
    if (!component) throw new JpegDataError(`a scan of component ${id}, which the frame header doesn't have`);
    component.table ??= tables.quantisation.get(component.quantisation);
    if (!component.table) throw new JpegDataError(`component ${id} has no quantisation table`);
    return { coefficients: component.coefficients, dc: tables.dc.get(codes >> 4), ac: tables.ac.get(codes & 15) };
  });
  const [first, last, bits] = body.subarray(1 + 2 * count);
  decodeScan(bytes, end, {
    components,
    progressive,
    first,
    last,
    high: bits >> 4,
    low: bits & 15,
    restartInterval: tables.restartInterval,
    unitsAcross: units.across,
    unitsDown: units.down,
  });
}

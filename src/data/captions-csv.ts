import { CsvError, parse } from "csv-parse/browser/esm/sync";
import { InputError, printable, shown } from "../core/errors.ts";
import { CaptionCollector, type CaptionFormat, firstLine, PICTURE_NAME } from "./captions.ts";

/** What the two columns are called, ours first. */
const IMAGE_COLUMNS = ["image", "image_name", "file_name", "filename", "file", "image_id"];
const CAPTION_COLUMNS = ["caption", "comment", "text"];

/**
 * `captions.txt`: CSV with the columns `image` and `caption`, a row a caption.
 *
 * A file without a header is read as image, caption. Commas in an unquoted caption are taken as part of it, and
 * reported. Byte-order mark, CRLF, blank lines and quoted line breaks are fine.
 * @throws InputError if a quotation mark is never closed or the header names no image and no caption.
 */
export const captionsCsv: CaptionFormat = {
  name: "captions.txt (CSV)",
  fileName: /^(?:captions\.(?:txt|csv)|metadata\.csv)$/i,

  recognises(sample) {
    const cells = firstLine(sample).split(",").map((cell) => cell.replace(/^\s*"|"\s*$/g, ""));
    return cells.length > 1 && (PICTURE_NAME.test(cells[0].trim()) || columnsOf(cells) !== undefined);
  },

  parse(text, source) {
    const collector = new CaptionCollector(source, "line");
    let columns: Columns | undefined;
    readRows(text, source, (record, line) => {
      if (columns === undefined) {
        const named = columnsOf(record);
        columns = named ?? withoutHeader(record, source);
        if (named !== undefined) return;
      }
      const where = `line ${line}`;
      const filled = record.findLastIndex((cell) => cell !== "") + 1; // spreadsheets end lines with empty cells
      const extra = Math.max(0, filled - columns.count);
      if (extra > 0) collector.findings.repaired("line", "with a comma in a caption that is not in quotes, taken as part of the caption", where);
      const caption = record.slice(columns.caption, columns.caption + 1 + extra).join(",");
      collector.add(record[columns.image + (columns.image > columns.caption ? extra : 0)] ?? "", caption, where);
    });
    return collector.finish();
  },
};

/** Where image and caption stand among how many columns. */
interface Columns {
  readonly image: number;
  readonly caption: number;
  readonly count: number;
}

function columnsOf(header: readonly string[]): Columns | undefined {
  const names = header.map((name) => name.trim().toLowerCase());
  const find = (known: readonly string[]): number => names.indexOf(known.find((name) => names.includes(name)) ?? "");
  const columns = { image: find(IMAGE_COLUMNS), caption: find(CAPTION_COLUMNS), count: names.length };
  return columns.image >= 0 && columns.caption >= 0 ? columns : undefined;
}

/** @throws InputError unless the first line is an image and its caption. */
function withoutHeader(first: readonly string[], source: string): Columns {
  if (PICTURE_NAME.test(first[0].trim())) return { image: 0, caption: 1, count: 2 };
  throw new InputError(
    `${source}: the first line must be the header "image,caption"; got ${shown(first.join(","))}`,
    "name the two columns image and caption",
  );
}

function readRows(text: string, source: string, visit: (record: readonly string[], line: number) => void): void {
  try {
    parse(text, {
      bom: true,
      record_delimiter: ["\r\n", "\n", "\r"],
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      on_record(record: string[], { lines }) {
        visit(record, lines);
        return null; // so that the parser keeps none of them
      },
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const hint = "close the quotation mark, or double the ones inside a caption";
    throw new InputError(`${source}: must be CSV; got ${printable(error.message)}`, hint, { cause: error });
  }
}

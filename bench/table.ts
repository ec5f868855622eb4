/** A column of a table that is printed row by row; text is cut where it is longer than the column. */
export interface Column {
  readonly title: string;
  readonly width: number;
  readonly align?: "left" | "right";
}

/** One row, its cells aligned under each other. */
export function row(columns: readonly Column[], cells: readonly string[]): string {
  return columns
    .map(({ width, align = "right" }, i) => {
      const text = fit(cells[i] ?? "", width);
      return align === "left" ? text.padEnd(width) : text.padStart(width);
    })
    .join("  ")
    .trimEnd();
}

/** The titles, and a line under them. */
export function header(columns: readonly Column[]): string {
  return `${row(columns, columns.map(({ title }) => title))}\n${columns.map(({ width }) => "-".repeat(width)).join("  ")}`;
}

function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** A number with three digits that matter: `0.123`, `1.23`, `12.3`, `123`. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  return size >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

/** Seconds in the unit that suits them. */
export function duration(seconds: number): string {
  if (seconds >= 0.9995) return `${digits(seconds)} s`;
  return seconds >= 0.9995e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} µs`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** Bytes in the unit that suits them. */
export function bytes(count: number): string {
  if (count >= 2 ** 30) return `${digits(count / 2 ** 30)} GiB`;
  return count >= 2 ** 20 ? `${digits(count / 2 ** 20)} MiB` : `${digits(count / 2 ** 10)} KiB`;
}

/** Numbers as people read them. The same in every locale, so that logs can be compared. */

/** `4.2 s`, `2 min 05 s`, `1 h 03 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number): string => String(value).padStart(2, "0");
  if (seconds < 3599.5) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** `95.7 %` from 0.957. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** `287 of 300 (95.7 %)`. */
export function shareOf({ count, of }: { readonly count: number; readonly of: number }): string {
  return of === 0 ? "none to count" : `${count} of ${of} (${percent(count / of)})`;
}

/** `1,234,567`. */
export function thousands(value: number): string {
  return value.toLocaleString("en-US");
}

/** Four significant digits, or fewer: a loss, a rate, a learning rate. */
export function significant(value: number): string {
  return Number(value.toPrecision(4)).toString();
}

/** `12.3 MB`. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `12 bytes`, `3.1 KB`, `12.3 MB`, `1.2 GB`. */
export function byteSize(bytes: number): string {
  if (bytes < 1000) return counted(bytes, "byte");
  const [unit, name] = ([[1e9, "GB"], [1e6, "MB"], [1e3, "KB"]] as const).find(([size]) => bytes >= size)!;
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

/** `1 picture`, `24 pictures`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${thousands(count)} ${count === 1 ? one : many}`;
}

/** `20261121-033105`, local time: sorts by age and fits every file system. */
export function dateStamp(date: Date): string {
  const pad = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}${pad(date.getMonth() + 1)}${pad(date.getDate())}`;
  return `${day}-${pad(date.getHours())}${pad(date.getMinutes())}${pad(date.getSeconds())}`;
}

/**
 * Rows as lines, their columns padded to equal width.
 * @param numbers Indices of the columns that end at the right, as numbers should.
 */
export function table(rows: readonly (readonly string[])[], numbers: readonly number[] = []): string[] {
  const widths = rows[0].map((_, column) => rows.reduce((widest, row) => Math.max(widest, row[column].length), 0));
  return rows.map((row) => row.map((cell, column) => (numbers.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join("  ").trimEnd());
}

/** Cells as a line of CSV, in quotes where they need them. */
export function csvRow(cells: readonly (string | number)[]): string {
  return cells.map((cell) => (/[",\r\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell))).join(",");
}

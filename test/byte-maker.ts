/** Bytes for files that tests put together. */

/** A little-endian integer; numbers beyond 32 bits are exact to 2^53. */
export function uint(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 255);
}

export function bytesOfText(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

export function concatenate(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

import { Sha256 } from "../core/sha256.ts";

/** 16 hexadecimal digits that change with any part, however its fields are ordered. */
export function checkpointFingerprint(...parts: readonly unknown[]): string {
  const hash = new Sha256();
  hash.update(new TextEncoder().encode(JSON.stringify(parts.map(sorted))));
  return hash.digest().slice(0, 16);
}

/** JSON with the fields of objects in the order of their names. */
function sorted(value: unknown): unknown {
  const plain = typeof value === "object" && value !== null && "toJSON" in value && typeof value.toJSON === "function" ? (value.toJSON() as unknown) : value;
  if (Array.isArray(plain)) return plain.map(sorted);
  if (typeof plain !== "object" || plain === null) return plain;
  return Object.fromEntries(Object.entries(plain).filter(([, entry]) => entry !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]) => [name, sorted(entry)]));
}

/** The alphabet in which GPT-2's vocabulary is written: a visible character for each byte, so that no token has white space in it. */

const isVisible = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);

/**
 * By byte. Visible characters of Latin-1 stand for themselves; the other bytes get U+0100 and what follows: a space is "Ġ".
 * Source: openai/gpt-2, `bytes_to_unicode`.
 */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isVisible(byte) ? byte : next++));
})();

const BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** The bytes of a token that is written in {@link BYTE_CHARACTERS}. */
export function bytesOfCharacters(token: string): Uint8Array {
  return Uint8Array.from(token, (character) => BYTES.get(character) ?? 0);
}

/** The bytes of a text, written in {@link BYTE_CHARACTERS}. */
export function charactersOf(text: string): string {
  let characters = "";
  for (const byte of new TextEncoder().encode(text)) characters += BYTE_CHARACTERS[byte];
  return characters;
}

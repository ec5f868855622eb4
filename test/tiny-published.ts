import { readFileSync } from "node:fs";
import { BYTE_CHARACTERS } from "../src/data/tokenizer-bytes.ts";

const read = (name: string): Uint8Array => readFileSync(new URL(`golden/models/vit-gpt2/${name}`, import.meta.url));

/** A byte-level tokeniser for the small GPT-2 of the published layout. */
const TOKENIZER = ((): Uint8Array => {
  const tokens = [...BYTE_CHARACTERS];
  tokens.splice(100, 0, "<|endoftext|>");
  return new TextEncoder().encode(JSON.stringify({ added_tokens: [{ id: 100, content: "<|endoftext|>", special: true }], pre_tokenizer: { type: "ByteLevel", add_prefix_space: false }, decoder: { type: "ByteLevel" }, model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] } }));
})();

/** The files of a captioner as Hugging Face publishes them, with random weights. */
export const PUBLISHED = {
  "config.json": read("config.json"),
  "generation_config.json": read("generation_config.json"),
  "tokenizer.json": TOKENIZER,
  "model.safetensors": read("model.safetensors"),
};

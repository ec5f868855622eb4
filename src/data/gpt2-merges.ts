/** The merges of GPT-2's tokeniser as `vocab.bpe` of openai/gpt-2 has them: 200 KB gzipped, in a module that is loaded where they are asked for. */

import table from "./gpt2-merges.json" with { type: "json" };

export const { merges } = table;

import { noGrad } from "../autograd/tape.ts";
import { tensor } from "../autograd/tensor.ts";
import type { HostInput } from "../core/host-tensor.ts";
import type { AttentionMap } from "../data/attention-overlay.ts";
import { attentionMaps } from "./attention-maps.ts";
import type { Captioner } from "./captioner.ts";
import { givenWords } from "./teller.ts";

/** A word of a text, and where the captioner looked before it said it. */
export interface WordMap {
  readonly text: string;
  readonly map: AttentionMap;
}

/**
 * Where a captioner looked, word by word, for texts that it said of pictures.
 *
 * pictures [B, 3, size, size], normalised. Byte pairs are put together to words, which have the sum of their maps.
 * @param texts The ids of the text of each picture, as {@link Captioner.describeBatch} gave them.
 * @param language The tag that it was asked to speak; default as there.
 * @returns The words of each text, end words left out; null for a captioner that does not look at places, see {@link attentionMaps}.
 */
export async function wordMaps({ device, model, codec }: Captioner, pictures: HostInput, texts: readonly (readonly number[])[], language?: string): Promise<readonly (readonly WordMap[])[] | null> {
  const given = givenWords(codec, language);
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 1);
  const length = given.length + longest - 1; // the last word is looked for, and not looked from
  const words = new Int32Array(texts.length * length).fill(codec.pad);
  texts.forEach((ids, row) => words.set([...given, ...ids].slice(0, length), row * length));

  using _scope = device.scope();
  model.eval();
  const maps = noGrad(() => attentionMaps(model, model.see(tensor(device, pictures.data, pictures.shape)), tensor(device, words, [texts.length, length])));
  if (maps === null) return null;
  const [height, width] = maps.shape.slice(2);
  const values = await maps.read();
  return texts.map((ids, row) => {
    const found: { text: string; map: { width: number; height: number; data: Float32Array } }[] = [];
    const stream = codec.stream();
    let apart = true; // whether white space stands before the next piece
    for (const [i, id] of ids.entries()) {
      const text = stream.push(id);
      const at = (row * length + given.length - 1 + i) * width * height;
      const data = Float32Array.from(values.subarray(at, at + width * height));
      const last = found.at(-1);
      apart ||= /^\s/u.test(text);
      if (text.trim() === "") continue;
      if (last === undefined || apart) found.push({ text: text.trim(), map: { width, height, data } });
      else {
        last.text += text.trimEnd();
        last.map.data = last.map.data.map((value, place) => value + data[place]);
      }
      apart = /\s$/u.test(text);
    }
    return found;
  });
}

"""
Writes gpt2.json: texts and the ids that GPT-2's published recipe gives them.

Shares nothing with src/data: words by the published regular expression through the `regex` module, merges in plain loops.
The merges are those of src/data/gpt2-merges.json, which are openai/gpt-2's vocab.bpe to the byte (a test compares their SHA-256).

    python3 test/golden/tokenizers/generate.py      (needs `regex`: apt install python3-regex)
"""

import json
import pathlib
import random

import regex

here = pathlib.Path(__file__).parent
merges = json.loads((here / "../../../src/data/gpt2-merges.json").read_text("utf8"))["merges"]
pairs = [tuple(line.split(" ")) for line in merges.split("\n")[1:-1]]
rank = {pair: place for place, pair in enumerate(pairs)}

visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
hidden = [byte for byte in range(256) if byte not in visible]
character = {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
tokens = [character[byte] for byte in visible + hidden] + ["".join(pair) for pair in pairs] + ["<|endoftext|>"]
ids = {token: place for place, token in enumerate(tokens)}
words = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def merged(word):
    parts = list(word)
    while len(parts) > 1:
        best = min(zip(parts, parts[1:]), key=lambda pair: rank.get(pair, len(rank)))
        if best not in rank:
            break
        joined, place = [], 0
        while place < len(parts):
            if tuple(parts[place : place + 2]) == best:
                joined.append(parts[place] + parts[place + 1])
                place += 2
            else:
                joined.append(parts[place])
                place += 1
        parts = joined
    return parts


def encode(text):
    return [ids[part] for word in words.findall(text) for part in merged("".join(character[byte] for byte in word.encode("utf8")))]


TEXTS = [
    "", " ", "\n", "a", "Hello, world!", "A dog runs through the grass.", "two children   play\tin the sand \n\n near a boat",
    "it's I'm we'll they've he'd don't you're IT'S it’s we’ll 's's ''s", "é à ñ e\u0301 q\u0323\u0307 Z\u0351\u036b\u0343\u036a\u0302",
    "👩\u200d👩\u200d👧\u200d👦 👨🏽\u200d🚀 🏳\ufe0f\u200d🌈 🇺🇳❤\ufe0f", "שלום עולם مرحبا بالعالم \u200fabc\u200e", "你好，世界。こんにちは 안녕하세요 𠮷野家",
    "\0\x01\x02 a\x1bb\x7f\x80\x9f\x1c\x1d\x1e\x1f", "a\x85b \x85\x85 c", "a\u00a0b \u00a0 c\u00a0", "\ufeffabc \ufeff x\ufeff\ufeffy",
    "a\u2028b\u2029c\u200b\u200cd\u3000e\u180ef \u2009 g", "123 ١٢٣ १२३ ½ ² Ⅷ 𝟘𝟙 123456789 3.14", " " * 40 + "a" + "  b   ", "\n\n\n\r\n\r\r\na\n \n b\t\t\tc",
    "<|endoftext|>a <|endoftext|>", "a" * 300 + " " + "ab" * 150, "=" * 200 + "-" * 99, "\ufffd \ufffe\uffff\ue000\U0010ffff\U000e0001",
    "__proto__ constructor toString", "aB1c2_d-e.f <b>&amp;</b>\\n", "SolidGoldMagikarp petertodd", "Donaudampfschifffahrtsgesellschaftskapitän",
    "kjhgfdsaqwertzuiopmnbvcxy" * 40,
]

PIECES = ["a", "e", "the ", " ", "  ", "\n", "\t", "'s", "'re", "’", "ing", "1", "23", "٣", "½", "é", "e\u0301", "ß", "你", "の", "한", "א", "م", "\u200d", "👩",
          "\U0001f3fd", "\u00a0", "\x85", "\u2028", "\u3000", "\ufeff", "\0", "\x1c", "=", "--", "<|", "\U0010ffff", "\r\n", "_", "Dog", " cat", "!?"]

random.seed(4)
TEXTS += ["".join(random.choices(PIECES, k=random.randint(1, 14))) for _ in range(100)]

lines = ",\n".join(json.dumps({"text": text, "ids": encode(text)}) for text in TEXTS)
(here / "gpt2.json").write_text(f"[\n{lines}\n]\n")

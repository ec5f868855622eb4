"""
Writes src/metrics/wordnet-synonyms.gz, and beside this file porter.json and meteor.json with what nltk gives.

    NLTK_DATA=DIR python3 test/golden/metrics/generate.py      (nltk 3.8, WordNet 3.0: apt install python3-nltk wordnet-base)

DIR/corpora/wordnet must hold the files of /usr/share/wordnet and a file `lexnames`, which Debian leaves out: 45 lines of
number, any name and 1, with tabs between.

The table serves METEOR alone. nltk's METEOR looks the Porter stems of words up in WordNet, with Morphy (men → man), and
compares what it finds with other stems. So only stems can be looked up, and only stems can be found; the table has no other words.
A line is a synset: the stems that are its lemmas in lower case and thus can be found, then behind a bar those that
only lead to it, as "men" does to "man". A synset that tells nothing beyond a stem itself is left out.
"""

import gzip
import json
import os
import pathlib
import random
import warnings

warnings.simplefilter("ignore")  # nltk misses the WordNets of other languages

from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import meteor_score

here = pathlib.Path(__file__).parent
wordnet = WordNetCorpusReader(os.environ["NLTK_DATA"] + "/corpora/wordnet", None)
stemmer = PorterStemmer()


def inflected(word, pos):
    """A word with its regular inflections; of consonants that may double, both spellings."""
    vowel, consonant = "aeiou", "bcdfghjklmnpqrtvwxz"
    sibilant = word.endswith(("s", "x", "z", "ch", "sh"))
    to_i = len(word) > 2 and word.endswith("y") and word[-2] not in vowel
    base = word[:-1] if word.endswith("e") else word[:-1] + "i" if to_i else word
    doubles = len(word) > 2 and word[-1] in consonant and word[-2] in vowel
    endings = {"v": ["ed"], "a": ["er", "est"] if len(word) <= 6 and word.isalpha() else []}.get(pos, [])
    yield word
    if pos in "nv":
        yield base + "es" if sibilant or to_i else word + "s"
    if pos == "n" and word.endswith("man"):
        yield word[:-3] + "men"
    for ending in endings:
        yield base + ending
        if doubles:
            yield word + word[-1] + ending
    if pos == "v":
        yield (word[:-1] if word.endswith("e") and not word.endswith(("ee", "ye", "oe")) else word) + "ing"
        if doubles:
            yield word + word[-1] + "ing"


# Every word that a caption may hold and WordNet can know: its own words, irregular forms, and regular inflections.
lemmas = {(name, pos) for pos in "nvar" for name in wordnet.all_lemma_names(pos) if "_" not in name}
words = {form for lemma in lemmas for form in inflected(*lemma)}
words |= {form for forms in wordnet._exception_map.values() for form in forms if "_" not in form}
stems = {stemmer.stem(word) for word in words}

found = {}  # by synset: the stems to find
leading = {}  # by synset: the stems that lead to it
for stem in stems:
    for synset in wordnet.synsets(stem):
        leading.setdefault(synset, set()).add(stem)
for synset in leading:
    found[synset] = {lemma.name() for lemma in synset.lemmas()} & stems

lines = set()
for synset, leads in leading.items():
    finds = found[synset]
    if any(finds - {lead} for lead in leads):
        only = leads - finds
        lines.add(" ".join(sorted(finds)) + ("|" + " ".join(sorted(only)) if only else ""))
table = "".join(line + "\n" for line in sorted(lines))
target = here / "../../../src/metrics/wordnet-synonyms.gz"
target.write_bytes(gzip.compress(table.encode("ascii"), 9, mtime=0))
print(f"{len(words)} words, {len(stems)} stems, {len(lines)} synsets, {len(table)} bytes, {target.stat().st_size} gzipped")

random.seed(5)

# Words of WordNet with their inflections, and what is hardly a word.
sample = sorted(random.sample(sorted(words), 6_000)) + ["", "y", "yy", "yyy", "oy", "sky", "skies", "dying", "news", "innings", "proceed", "ties", "dies", "flies", "spied", "died", "agreed", "feed", "hopping", "falling", "owed", "ing", "ed", "42nd", "naïve", "über", "don't", "t-shirts", "ations"]
pairs = {word: stemmer.stem(word) for word in sample}
(here / "porter.json").write_text(json.dumps({"words": " ".join(pairs).strip(), "stems": " ".join(pairs.values()).strip()}, ensure_ascii=False) + "\n", "utf8")

# Captions of likely words, of rare words, and with much repetition: matching, synonyms and chunks differ for each.
likely = """a an the two three man men woman women child children kid kids boy boys girl girls person people dog dogs puppy cat cats horse bike bicycle bicycles
car automobile truck bus street road path lawn grass field park beach shore sea ocean water lake river snow mountain hill house home building
is are was running runs ran run walking walks walked riding rides rode ride sitting sits sat stands standing stood jumping jumps leaps leaping playing plays play
holding holds held looking looks watches watching eats eating ate drinks drinking big large huge small little tiny red blue dark bright old young tall
on in at with by of near beside across through down up into and while wearing wears hat shirt t-shirt coat jacket pants trousers shoes sneakers
ball football soccer game picture photograph photo camera guitar instrument music crowd group lots many several some another others men's lower wider best worse
feet foot teeth tooth mice mouse oxen ox geese goose glasses glass knives knife wolves wolf firemen fireman tense ten dense den close closes closed""".split()
rare = sorted(words)
cases = []
for i in range(400):
    pool = likely if i % 3 else likely + random.sample(rare, 80)
    if i % 5 == 4:
        pool = random.sample(pool, 6)
    caption = random.choices(pool, k=random.randint(0 if i < 20 else 1, 16))
    references = [random.choices(pool, k=random.randint(1, 16)) for _ in range(random.randint(1, 5))]
    for reference in references[:2]:  # part of the caption in other order
        reference[1:1] = random.sample(caption, len(caption) // 2)
    score = meteor_score(references, caption, wordnet=wordnet)
    cases.append([" ".join(caption), [" ".join(reference) for reference in references], score])
(here / "meteor.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n", "utf8")

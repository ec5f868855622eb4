import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { CAPTION_FORMATS, captionFormatOf } from "../src/data/caption-formats.ts";
import { type CaptionFormat, type ParsedCaptions, parseJson } from "../src/data/captions.ts";
import { cocoCaptions } from "../src/data/captions-coco.ts";
import { captionsCsv } from "../src/data/captions-csv.ts";
import { karpathy } from "../src/data/captions-karpathy.ts";
import { flickrResults } from "../src/data/captions-results.ts";
import { stories } from "../src/data/captions-stories.ts";
import { flickrTokens } from "../src/data/captions-token.ts";
import { findingLine, Findings } from "../src/data/findings.ts";
import { parseSplitLists } from "../src/data/split-lists.ts";

/** Captions by image, and the findings as lines. */
function read(format: CaptionFormat, text: string, source: string): { captions: Record<string, readonly string[]>; findings: string[] } {
  const { examples, findings }: ParsedCaptions = format.parse(text, source);
  return { captions: Object.fromEntries(examples.map(({ image, captions }) => [image, captions])), findings: findings.map(findingLine) };
}

describe("captions.txt", () => {
  test("is real CSV, whatever the line ends", () => {
    const text = '\uFEFFimage,caption\r\na.jpg,"Red, green and blue"\r\n\r\na.jpg,A ""wall""\nb.png,"She said ""hi""\nto us"\n';
    expect(read(captionsCsv, text, "captions.txt")).toEqual({
      captions: { "a.jpg": ["Red, green and blue", 'A ""wall""'], "b.png": ['She said "hi" to us'] },
      findings: ["captions.txt: 1 line with a line break, taken as a space (line 6)"],
    });
  });

  test.each(["id,Caption,Image\n1,a dog,a.jpg\n", "image_name,comment_number,comment\na.jpg,0,a dog\n", "file_name,text\na.jpg,a dog\n", "image,caption,split\na.jpg,a dog,train,,\n"])("finds the columns by name: %j", (text) => {
    expect(read(captionsCsv, text, "captions.txt")).toEqual({ captions: { "a.jpg": ["a dog"] }, findings: [] });
  });

  test("does without a header, and says what it mends and drops", () => {
    const text = "images\\a.jpg,a red, green wall\nb.jpg,\n,a dog\na.jpg,an old 5\" pipe\na.jpg,an old 5\" pipe\nc.jpg,caf\uFFFD\n";
    expect(read(captionsCsv, text, "captions.txt")).toEqual({
      captions: { "images/a.jpg": ["a red, green wall"], "a.jpg": ['an old 5" pipe'], "c.jpg": ["caf\uFFFD"] },
      findings: [
        "captions.txt: 1 line with a comma in a caption that is not in quotes, taken as part of the caption (line 1)",
        "captions.txt: 1 line with a backslash in the image's name, taken as a slash (line 1)",
        "captions.txt: 1 line without a caption (line 2): left out",
        "captions.txt: 1 line without the name of an image (line 3): left out",
        "captions.txt: 1 line repeating an image's caption (line 5): left out",
        "captions.txt: 1 line with bytes that are not UTF-8, read as \uFFFD (line 6)",
      ],
    });
  });

  test.each(["image,caption,split\na.jpg,a dog, running,train\n", "caption,image\na dog, running,a.jpg\n"])("takes a comma as part of the caption wherever its column stands: %j", (text) => {
    const finding = "captions.txt: 1 line with a comma in a caption that is not in quotes, taken as part of the caption (line 2)";
    expect(read(captionsCsv, text, "captions.txt")).toEqual({ captions: { "a.jpg": ["a dog, running"] }, findings: [finding] });
  });

  test("with a wrong header or an open quotation mark is refused", () => {
    const wrongHeader = "file;text\na.jpg;a dog\n";
    expect(() => captionsCsv.parse(wrongHeader, "c.csv")).toThrow('must be the header "image,caption"; got "file;text"');
    expect(() => captionsCsv.parse('image,caption\na.jpg,"a dog\nb.jpg,a cat\n', "c.csv")).toThrow(InputError);
  });
});

describe("stories.txt", () => {
  test("is read with all its quirks", () => {
    const text = ["\uFEFFa.jpg\tOnce upon a time.", "", "b.jpg\tOne\ttwo\t three", "c.jpg   spaces it is", "no separator", "./a.jpg\tOnce upon a  time.", "d.jpg\t "].join("\r\n");
    expect(read(stories, text, "stories.txt")).toEqual({
      captions: { "a.jpg": ["Once upon a time."], "b.jpg": ["One two three"], "c.jpg": ["spaces it is"] },
      findings: [
        "stories.txt: 1 line with further tabs, joined by spaces (line 3)",
        "stories.txt: 1 line with spaces in place of the tab after the image's name (line 4)",
        "stories.txt: 1 line without a tab between image and story (line 5): left out",
        "stories.txt: 1 line repeating an image's caption (line 6): left out",
        "stories.txt: 1 line without a caption (line 7): left out",
      ],
    });
  });

  test("spaces may stand for the tab where the story has tabs of its own; a name may hold spaces before a tab", () => {
    expect(read(stories, "a.jpg   One\ttwo\nmy  photo.jpg\tThree\n", "s").captions).toEqual({ "a.jpg": ["One two"], "my  photo.jpg": ["Three"] });
  });

  test("counts lines by any line end", () => {
    expect(read(stories, "a.jpg\tx\rbad\r\n\r\nworse\n", "s").findings).toEqual(["s: 2 lines without a tab between image and story (line 2, line 4): left out"]);
  });
});

describe("Flickr's own files", () => {
  test("token files: name#number, tab, caption", () => {
    const text = "1000268201_693b08cb0e.jpg#0\tA child in a pink dress .\n1000268201_693b08cb0e.jpg#1\tA girl # 1 , smiling .\n2258277193_586949ec62.jpg.1#0\tsome people\nno number\there\n";
    expect(read(flickrTokens, text, "Flickr8k.token.txt")).toEqual({
      captions: { "1000268201_693b08cb0e.jpg": ["A child in a pink dress .", "A girl # 1 , smiling ."], "2258277193_586949ec62.jpg.1": ["some people"] },
      findings: ["Flickr8k.token.txt: 1 line without #number after the image's name (line 4): left out"],
    });
  });

  test("results.csv: commas and quotation marks are text, and the row without its second separator is repaired", () => {
    const text = [
      "image_name| comment_number| comment",
      "1000092795.jpg| 0| Two young guys with shaggy hair look at their hands , \"hanging out\" .",
      "2199200615.jpg| 3| A dog | or so .",
      "2199200615.jpg| 4   A dog runs across the grass .",
      "1000092795.jpg only",
    ].join("\r\n");
    expect(read(flickrResults, text, "results.csv")).toEqual({
      captions: { "1000092795.jpg": ['Two young guys with shaggy hair look at their hands , "hanging out" .'], "2199200615.jpg": ["A dog | or so .", "A dog runs across the grass ."] },
      findings: [
        "results.csv: 1 line without the second separator, split behind the number (line 4)",
        "results.csv: 1 line without image | number | caption (line 5): left out",
      ],
    });
  });

  test("lists of images give splits; an image of two lists is held back", () => {
    const { examples, findings } = parseSplitLists(
      new Map([
        ["t/Flickr_8k.trainImages.txt", "a.jpg\r\nb.jpg\r\n\r\n"],
        ["t/Flickr_8k.devImages.txt", "c.jpg\n"],
        ["t/Flickr_8k.testImages.txt", "b.jpg\nd.jpg\n"],
        ["t/Flickr_8k.readme.txt", "e.jpg\n"],
      ]),
    );
    expect(Object.fromEntries(examples.map(({ image, split }) => [image, split]))).toEqual({ "a.jpg": "train", "b.jpg": "test", "c.jpg": "val", "d.jpg": "test" });
    expect(findings.map(findingLine)).toEqual(["t/Flickr_8k.testImages.txt: 1 image that another list has too, taken as test (b.jpg)"]);
  });
});

describe("Karpathy JSON", () => {
  test("is read with splits, restval as train, folders, and tokens where raw is missing", () => {
    const images = [
      { filename: "a.jpg", split: "restval", sentences: [{ raw: "A dog.\n" }, { tokens: ["a", "cat"] }] },
      { filename: "COCO_val2014_000000391895.jpg", filepath: "val2014", cocoid: 391895, split: "test", sentences: [{ raw: "A bird" }] },
      { filename: "c.jpg", split: "val", sentences: [] },
      { filename: "d.jpg", split: "holdout", sentences: [{ raw: "A fish" }] },
    ];
    const { examples, findings } = karpathy.parse(JSON.stringify({ images }), "dataset.json");
    expect(examples).toEqual([
      { image: "a.jpg", captions: ["A dog.", "a cat"], split: "train" },
      { image: "val2014/COCO_val2014_000000391895.jpg", captions: ["A bird"], split: "test" },
    ]);
    expect(findings.map(findingLine)).toEqual([
      "dataset.json: 1 image of split restval, taken as train (a.jpg)",
      "dataset.json: 1 image without a sentence (c.jpg): left out",
      "dataset.json: 1 image of a split other than train, restval, val and test (d.jpg: holdout): left out",
    ]);
  });

  test.each([
    ["{", "must be JSON"],
    ['{"annotations": []}', "the Karpathy layout"],
    ['{"images": [{"file_name": "a.jpg"}]}', 'images[0] must be {"filename"'],
    ['{"images": [{"filename": "a.jpg", "sentences": [{"tokens": "a"}]}]}', 'images[0] must be {"filename"'],
    ['{"images": [{"filename": "a.jpg", "sentences": [{"raw": 5}]}]}', 'images[0] must be {"filename"'],
    ["null", "the Karpathy layout"],
  ])("refuses %s", (text, message) => {
    expect(() => karpathy.parse(text, "dataset.json")).toThrow(InputError);
    expect(() => karpathy.parse(text, "dataset.json")).toThrow(message);
  });
});

describe("COCO's captions", () => {
  const images = [{ id: 9, file_name: "000000000009.jpg" }, { id: 25, file_name: "000000000025.jpg" }, { id: "x", file_name: "sub/x.jpg" }];

  test("are joined to their images by id; line breaks are taken as spaces", () => {
    const annotations = [
      { image_id: 9, id: 1, caption: "A plate of\nfood. \n" },
      { image_id: 9, id: 2, caption: "Bread" },
      { image_id: "x", id: 3, caption: "A cat" },
      { image_id: 7, id: 4, caption: "Nobody's" },
    ];
    expect(read(cocoCaptions, JSON.stringify({ annotations, images }), "annotations/captions_val2017.json")).toEqual({
      captions: { "val2017/000000000009.jpg": ["A plate of food.", "Bread"], "sub/x.jpg": ["A cat"] },
      findings: [
        "annotations/captions_val2017.json: 1 caption with a line break, taken as a space (annotations[0])",
        "annotations/captions_val2017.json: 1 caption of an image that the file doesn't list (annotations[3]): left out",
        "annotations/captions_val2017.json: 1 image without an annotation (val2017/000000000025.jpg): left out",
      ],
    });
    expect(Object.keys(read(cocoCaptions, JSON.stringify({ images, annotations }), "captions.json").captions)).toContain("000000000009.jpg");
  });

  test.each([
    ['{"images": []}', 'must be {"images": [...], "annotations": [...]}, COCO\'s layout; got no list of annotations'],
    ["[]", "got no list of images"],
    ['{"images": [{"id": 1}], "annotations": []}', 'images[0] must be {"id", "file_name"}; got {"id":1}'],
    ['{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}', 'annotations[0] must be {"image_id", "caption"}'],
  ])("refuse %s", (text, message) => {
    expect(() => cocoCaptions.parse(text, "captions_train2017.json")).toThrow(message);
    expect(() => cocoCaptions.parse(text, "captions_train2017.json")).toThrow(InputError);
  });

  test("are read in time that goes with their number", () => {
    const many = Array.from({ length: 20_000 }, (_, id) => ({ id, file_name: `${String(id).padStart(12, "0")}.jpg` }));
    const annotations = Array.from({ length: 100_000 }, (_, i) => ({ id: i, image_id: i % 20_000, caption: `A picture that somebody described as number ${i}.` }));
    const text = JSON.stringify({ images: many, annotations });
    const begun = performance.now();
    const { examples, findings } = cocoCaptions.parse(text, "captions_train2017.json");
    expect([examples.length, examples[0].captions.length, findings.length]).toEqual([20_000, 5, 0]);
    expect(performance.now() - begun).toBeLessThan(20_000); // takes about half a second; the rest is for a busy machine
  });
});

describe("captionFormatOf", () => {
  test.each<[string, string, CaptionFormat | undefined]>([
    ["captions.txt", "image,caption\na.jpg,x\n", captionsCsv],
    ["captions.txt", "a.jpg#0\tA dog\n", flickrTokens],
    ["captions.txt", "a.jpg\tA dog\n", stories],
    ["captions.txt", "", captionsCsv],
    ["anything.csv", '\uFEFF"image","caption"\n', captionsCsv],
    ["results_20130124.token", "1000092795.jpg#0\tTwo young guys\n", flickrTokens],
    ["flickr30k.csv", "image_name| comment_number| comment\n", flickrResults],
    ["stories.txt", "a.jpg   spaces\n", stories],
    ["coco.json", '{"annotations": [{"image_id": 1, "caption": "x"}], "images": []}', cocoCaptions],
    ["dataset.json", '{"images": [{"sentences": []}]}', karpathy],
    ["README.txt", "What is in here\n", undefined],
    ["instances_val2017.json", '{"annotations": [{"image_id": 1, "bbox": []}]}', undefined],
    ["list.txt", "a.jpg\nb.jpg\n", undefined],
    ["Flickr8k.lemma.token.json", "", undefined],
  ])("tells %s with %j", (name, sample, format) => {
    expect(captionFormatOf(name, sample)).toBe(format);
  });
});

test("findings keep their first places alone, whatever they count", () => {
  const findings = new Findings("f.txt");
  for (let i = 1; i <= 1000; i++) findings.dropped("line", "without a caption", `line ${i}`);
  const [finding] = findings.list();
  expect([finding.count, finding.places.length]).toEqual([1000, 20]);
  expect(findingLine(finding)).toBe("f.txt: 1000 lines without a caption (line 1, line 2, line 3 and 997 more): left out");
});

test("parseJson reads a file with a byte-order mark", () => {
  expect(parseJson('\uFEFF{"a": 1}', "x.json")).toEqual({ a: 1 });
});

test("whatever is done to a file, each reader gives captions or one clear line", () => {
  const samples = [
    '{"images":[{"filename":"a.jpg","split":"train","sentences":[{"raw":"A dog","tokens":["a"]}]}]}',
    '{"images":[{"id":1,"file_name":"a.jpg"}],"annotations":[{"image_id":1,"caption":"A dog"}]}',
    'image,caption\na.jpg,"A dog, brown"\nb.jpg,x\n',
    "a.jpg\tA dog\tthere\nb.jpg   x\n",
    "a.jpg#0\tA dog\n",
    "image_name| comment_number| comment\na.jpg| 0| A dog\nb.jpg| 1  x\n",
  ];
  const pieces = ["", "null", "[", "]", "{", "}", '"', ",", "\t", "\n", "\r", "|", "#", "0", "\uFEFF", "\u0000", "__proto__", "constructor", "\\"];
  const random = new Generator(5);
  let read = 0;
  for (let round = 0; round < 1000; round++) {
    let text = random.pick(samples);
    for (let change = random.integer(4); change >= 0; change--) {
      const at = random.integer(text.length + 1);
      text = text.slice(0, at) + random.pick(pieces) + text.slice(at + random.integer(4));
    }
    for (const format of CAPTION_FORMATS) {
      try {
        const { examples } = format.parse(text, "f");
        expect(examples.every(({ image, captions }) => image !== "" && captions.length > 0)).toBe(true);
        read += examples.length;
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        expect((error as InputError).message).not.toMatch(/\n/);
      }
    }
  }
  expect(read).toBeGreaterThan(500);
});

import { expect, test } from "vitest";
import { cocoTokens } from "../src/metrics/coco-tokens.ts";

// Texts of the tests of Stanford's tokeniser, with its tokens; in lower case and without those that coco-caption drops.
test.each([
  ["This is a sentence.", "this is a sentence"],
  ["Gimme a phone, I'm gonna call.", "gim me a phone i 'm gon na call"],
  ["\"John & Mary's dog,\" Jane thought (to herself).", "john & mary 's dog jane thought -lrb- to herself -rrb-"],
  ["I like AT&T''.\"", "i like at&t"],
  ["I said at 4:45pm.", "i said at 4:45 pm"],
  ["I can't believe they wanna keep 40% of that.\"", "i ca n't believe they wan na keep 40 % of that"],
  ["\"I don't --- think so...,\"", "i do n't think so"],
  ["You should've paid only$16.75.", "you should 've paid only $ 16.75"],
  ["Diamond (``Not even the chair'') lives near Udaipur (84km).", "diamond -lrb- not even the chair -rrb- lives near udaipur -lrb- 84km -rrb-"],
  ["I lived in O\u2019Malley", "i lived in o'malley"],
  ["First sentence.... Second sentence.", "first sentence second sentence"],
  ["I wasn\u2019t really ... well, what I mean...see . . . what I'm saying, the thing is . . . I didn\u2019t mean it.", "i was n't really well what i mean see what i 'm saying the thing is i did n't mean it"],
  ["The Iron Age \u2013 300 BC.", "the iron age 300 bc"],
  ["the Sydney-based tiotropium/olodaterol 5/2", "the sydney-based tiotropium/olodaterol 5/2"],
  ["went into 1,000 [51].", "went into 1,000 -lsb- 51 -rsb-"],
])("%j", (text, expected) => expect(cocoTokens(text).join(" ")).toBe(expected));

test.each([
  ["A man's dog; the dogs' ball: cannot-do!", "a man 's dog the dogs ball cannot-do"],
  ["I wouldn't've, she's", "i would n't 've she 's"],
  ["man 's hat, they do n't", "man 's hat they do n't"],
  ["Wow!! what?!", "wow !! what ?!"], // as there: only single marks are dropped
  ["Mr. Smith on Main St. in the U.S. at 9 a.m.", "mr. smith on main st. in the u.s. at 9 a.m."],
  ["  ", ""],
  ["", ""],
  ["... -- ' \" ; :", ""],
  ["Ein großer Kreis, 猫。", "ein großer kreis 猫 。"],
])("%j", (text, expected) => expect(cocoTokens(text).join(" ")).toBe(expected));

test("takes time in proportion to the text", () => {
  const begun = performance.now();
  for (const piece of ["a.", "1,", "a&", "'s", "a-", "n't", "a'", "((", "a'd"]) cocoTokens(piece.repeat(50_000));
  expect(performance.now() - begun).toBeLessThan(5000); // quadratic work would take minutes
});

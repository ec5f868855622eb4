// What browsers load of the sources: shaders without what people alone need, and modules of which bundlers can leave any part out.
import { readFileSync } from "node:fs";
import { parseAst } from "vite";

const FIRST_HOLE = 0xe000; // of Unicode's private characters, which stand for `${…}` while a text is shortened
const DELIMITER = /[(){}[\];,]/;
const OPERATOR = /[-+*/%<>=!&|^~?:@]/;

/** For esbuild: shaders shortened, and what modules compute at their top marked as free of effects. */
export const leanSources = {
  name: "lean-sources",
  setup(hooks) {
    hooks.onLoad({ filter: /\/src\/(core|kernels|device|autograd|nn|models|data|metrics|checkpoint|train|caption|web)\/.*\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      return { contents: withoutEffects(path.includes("/src/kernels/") ? shortenShaders(source) : source), loader: "ts" };
    });
  },
};

/**
 * A module's source with bundlers' mark for "pure" before every call that a constant at its top is made by: the package says that it has no
 * side effects, but that counts for whole files, and a file of the package holds several modules.
 */
export function withoutEffects(source) {
  const constants = parseAst(source, { lang: "ts" }).body.map((statement) => statement.declaration ?? statement).filter(({ type }) => type === "VariableDeclaration");
  const calls = constants.flatMap(({ declarations }) => declarations.flatMap(({ init }) => callsIn(init)));
  return calls.sort((a, b) => b - a).reduce((text, at) => `${text.slice(0, at)}/* @__PURE__ */ ${text.slice(at)}`, source);
}

/** Where the calls of an expression begin, but for those in functions, which are made later. */
function callsIn(node) {
  if (Array.isArray(node)) return node.flatMap(callsIn);
  if (typeof node?.type !== "string" || /Function/.test(node.type)) return [];
  const within = Object.values(node).flatMap((child) => (typeof child === "object" ? callsIn(child) : []));
  return /^(Call|New)Expression$/.test(node.type) ? [...new Set([node.start, ...within])] : within;
}

/**
 * A kernel's source with shorter shaders; error messages stay as they are.
 * @throws Error for a comment in a quoted text: where lines are joined, what follows would belong to it.
 */
export function shortenShaders(source) {
  return rewritten(source, parseAst(source, { lang: "ts" }), 0, source.length);
}

/** The source from `start` to `end`, with every template below `node` shortened. */
function rewritten(source, node, start, end) {
  let text = "";
  let done = start;
  for (const template of templatesIn(node)) {
    text += source.slice(done, template.start) + shortTemplate(source, template);
    done = template.end;
  }
  return text + source.slice(done, end);
}

/** The outermost templates below a node, in their order. */
function templatesIn(node) {
  if (Array.isArray(node)) return node.flatMap(templatesIn);
  if (typeof node?.type !== "string") return [];
  if (node.type === "TemplateLiteral") return [node];
  if (node.type === "ThrowStatement" || (node.type === "NewExpression" && node.callee.name?.endsWith("Error"))) return [];
  if (node.type === "Literal" && typeof node.value === "string" && node.value.includes("//")) throw new Error(`a shader's comment must stand in a template; got ${node.raw}`);
  return Object.values(node).flatMap((child) => (typeof child === "object" ? templatesIn(child) : [])).sort((a, b) => a.start - b.start);
}

function shortTemplate(source, { quasis, expressions }) {
  const text = quasis.map(({ value }, i) => value.raw + (i < expressions.length ? String.fromCharCode(FIRST_HOLE + i) : "")).join("");
  return `\`${shortText(text).replace(/[\ue000-\uf8ff]/g, (hole) => {
    const expression = expressions[hole.charCodeAt(0) - FIRST_HOLE];
    return `\${${rewritten(source, expression, expression.start, expression.end)}}`;
  })}\``;
}

/** Next to a hole, or where a template begins or ends, nobody knows what will stand there: one space stays unless the other side is a delimiter. */
function shortText(text) {
  return text.replace(/\/\/[^\n]*/g, "").replace(/\s+/g, (space, at, all) => {
    const sides = [all[at - 1], all[at + space.length]];
    const isNeedless = sides.some((side) => side !== undefined && DELIMITER.test(side)) || (sides.some(isWord) && sides.some((side) => side !== undefined && OPERATOR.test(side)));
    return isNeedless ? "" : space.includes("\n") ? "\n" : " ";
  });
}

const isWord = (side) => side !== undefined && /[\w.]/.test(side);

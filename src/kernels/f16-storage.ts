import type { Program, TensorSpec } from "./kernel.ts";

/**
 * Kernels are written for f32. Where a tensor is stored in f16, this puts the conversions into the text: each load
 * widens, each store narrows, and everything in between stays f32. So f16 halves memory and traffic, and no sum is
 * ever kept in it.
 */

/** A binding's declaration; what browsers load leaves needless spaces out. */
const DECLARATION = /@group\(0\) ?@binding\((\d+)\) ?var<storage, ?(?:read|read_write)> ?(\w+): ?array<([^;]+)>;/g;
const ELEMENT = /^(?:f32|vec([234])<f32>)$/;

/**
 * Rounds to f16 as it is stored: to nearest, ties to even; subnormal below 2⁻¹⁴, infinite from 65,520 on. WGSL's own
 * quantizeToF16 may flush the small ones, and SwiftShader's cuts off where it should round.
 */
const ROUNDING = `
fn roundF16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  let coarse = (bits + 0x0fffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  let beyond = (bits & 0x80000000u) | 0x7f800000u;
  if (size > 0x7f800000u) { return x; } // NaN
  if (size >= 0x477ff000u) { return bitcast<f32>(beyond); }
  if (size < 0x38800000u) { return round(x * 16777216.0) / 16777216.0; }
  return bitcast<f32>(coarse);
}
fn roundF16x2(v: vec2<f32>) -> vec2<f32> { return vec2<f32>(roundF16(v.x), roundF16(v.y)); }
fn roundF16x3(v: vec3<f32>) -> vec3<f32> { return vec3<f32>(roundF16(v.x), roundF16(v.y), roundF16(v.z)); }
fn roundF16x4(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(roundF16(v.x), roundF16(v.y), roundF16(v.z), roundF16(v.w)); }
`;

/** How elements of one binding are converted. */
interface Conversion {
  /** WGSL functions from the stored to the computed element, and back. */
  readonly widen: string;
  readonly narrow: string;
  /** The same as `narrow` for one component of an element. */
  readonly narrowComponent: string;
}

/**
 * The program on tensors of which some are stored in f16.
 *
 * @param tensors In binding order.
 * @param emulate Rounds what is stored to f16, but stores it as f32: for adapters without `shader-f16`.
 * @throws Error if a binding of an f16 tensor holds anything but f32 numbers or vectors: a kernel's mistake.
 */
export function withF16Storage(program: Program, tensors: readonly TensorSpec[], emulate: boolean): Program {
  if (!tensors.some(({ dtype }) => dtype === "f16")) return program;
  const conversions = new Map<string, Conversion>();
  const declared = program.wgsl.replace(DECLARATION, (declaration, binding: string, name: string, element: string) => {
    if (tensors[Number(binding)].dtype !== "f16") return declaration;
    const match = ELEMENT.exec(element);
    if (match === null) throw new Error(`withF16Storage: binding ${name} must hold f32 or vectors of f32; got ${element}`);
    const narrowed = match[1] === undefined ? "f16" : `vec${match[1]}<f16>`;
    conversions.set(name, emulate ? { widen: "", narrow: `roundF16${match[1] === undefined ? "" : `x${match[1]}`}`, narrowComponent: "roundF16" } : { widen: element, narrow: narrowed, narrowComponent: "f16" });
    return emulate ? declaration : declaration.replace(`array<${element}>`, `array<${narrowed}>`);
  });
  const wgsl = convertAccesses(declared, conversions);
  return { ...program, wgsl: emulate ? wgsl + ROUNDING : `enable f16;\n${wgsl}` };
}

/** Puts conversions around every `name[…]` in a text. */
function convertAccesses(text: string, conversions: ReadonlyMap<string, Conversion>): string {
  const access = new RegExp(`\\b(${[...conversions.keys()].join("|")})\\[`, "g");
  let converted = "";
  let done = 0;
  for (let match = access.exec(text); match !== null; match = access.exec(text)) {
    const { widen, narrow, narrowComponent } = conversions.get(match[1])!;
    const opening = match.index + match[0].length - 1;
    const closing = closingBracket(text, opening);
    const element = `${match[1]}[${convertAccesses(text.slice(opening + 1, closing), conversions)}]`;
    const component = /^(?:\.\w+|\[[^\]]*\])?/.exec(text.slice(closing + 1))![0];
    const assignment = /^\s*([-+*/]?)=(?!=)/.exec(text.slice(closing + 1 + component.length));
    converted += text.slice(done, match.index);
    if (assignment === null) {
      converted += widen === "" ? element : `${widen}(${element})`;
      done = closing + 1;
    } else {
      const start = closing + 1 + component.length + assignment[0].length;
      const end = text.indexOf(";", start);
      const value = convertAccesses(text.slice(start, end), conversions).trim();
      const place = `${element}${component}`;
      const current = widen === "" ? place : `${widen}(${element})${component}`;
      converted += `${place} = ${component === "" ? narrow : narrowComponent}(${assignment[1] === "" ? value : `${current} ${assignment[1]} (${value})`})`;
      done = end;
    }
    access.lastIndex = done;
  }
  return converted + text.slice(done);
}

/** Index of the bracket that closes the one at `opening`. */
function closingBracket(text: string, opening: number): number {
  let depth = 0;
  for (let i = opening; ; i++) {
    if (text[i] === "[") depth++;
    else if (text[i] === "]" && --depth === 0) return i;
  }
}

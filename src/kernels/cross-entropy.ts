import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { EXPONENTIALS, exponentialsOfRow, laneReduction, layRows, packRow, rowEntry, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, f32, spec } from "./wgsl.ts";
import { cutFirstAxis } from "./windows.ts";

const BLOCK = 64; // losses that are added up before they join the total, which keeps the rounding of long sums small

/** Which rows count, and how much of the target's weight goes to all classes alike. */
export interface CrossEntropyAttrs {
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
}

/**
 * WGSL that stores `losses[row]` and `rows[row]`, given `all` exponentials of the row and, with smoothing, `origin` and
 * the `mean` of the logits about it.
 * @param targetLogit Expression of the logit of class `column`; not read where there is no such class.
 */
export function storeLoss(classes: number, { ignoreIndex, labelSmoothing }: CrossEntropyAttrs, targetLogit: string): string {
  return `let label = targets[row];
  if (label == ${ignoreIndex}) {
    losses[row] = 0.0;
    rows[row] = vec2<f32>();
    return;
  }
  if (label < 0 || label >= ${classes} || !usable(all.sum)) {
    losses[row] = nan();
    rows[row] = vec2<f32>(nan());
    return;
  }
  let column = u32(label);
  losses[row] = log(all.sum) + ${f32(1 - labelSmoothing)} * (all.maximum - ${targetLogit})${labelSmoothing > 0 ? ` + ${f32(labelSmoothing)} * ((all.maximum - origin) - mean)` : ""};
  rows[row] = vec2<f32>(all.maximum, 1.0 / all.sum);`;
}

/** Which of all classes the columns of some logits are. */
export interface Classes {
  readonly classes: number;
  readonly firstClass: number;
}

/**
 * WGSL that stores a row of `to`, the gradient of logits `from` (which may be the same binding) of some of the classes;
 * called with `row`, `first` and `LANES` of the layout, and `ITEMS` and `element` of the packed row.
 */
export function storeGradient(from: string, to: string, columns: number, { ignoreIndex, labelSmoothing, classes, firstClass }: CrossEntropyAttrs & Classes): string {
  const { packed, element } = packRow(columns);
  const smooth = labelSmoothing > 0 ? ` - ${f32(labelSmoothing / classes)} * scale` : "";
  return `let start = row * ITEMS;
  let label = targets[row];
  if (label == ${ignoreIndex}) {
    for (var i = first; i < ITEMS; i += LANES) { ${to}[start + i] = ${element}(); }
    return;
  }
  let scale = dy[0] * weight[0];
  let maximum = rows[row].x;
  let factor = rows[row].y * scale; // NaN where the label is no class
  let column = u32(label${firstClass === 0 ? "" : ` - ${firstClass}`}); // a class before these becomes a great number
  let item = column${packed ? " / 4u" : ""};
  let peak = ${f32(1 - labelSmoothing)} * scale;
  let own = ${packed ? "select(vec4<f32>(), vec4<f32>(peak), vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(column % 4u))" : "peak"};
  for (var i = first; i < ITEMS; i += LANES) { // each stored once: in f16 a probability near 1 would lose what is left of it
    ${to}[start + i] = exp(${from}[start + i] - maximum) * factor${smooth} - select(${element}(), own, i == item);
  }`;
}

/**
 * Loss of each row: −Σⱼ qⱼ·log softmax(logits)ⱼ, where q = (1 − labelSmoothing)·onehot(target) + labelSmoothing/V.
 *
 * logits [N,V], targets i32 [N] → losses [N], rows [N,2] (maximum, and 1 / Σ exp(logit − maximum): kept for the
 * backward pass). One pass over memory. A row whose target is ignoreIndex has loss 0; one whose target is no class, NaN.
 * @throws ShapeError if logits are no matrix, the targets don't fit, or labelSmoothing is no share.
 */
export const crossEntropyRows: Kernel<CrossEntropyAttrs> = {
  name: "crossEntropyRows",
  infer([logits, targets], { labelSmoothing }) {
    const [n] = logits.shape;
    if (logits.shape.length !== 2) throw new ShapeError(`crossEntropy: logits must be [N,V]; got ${showShape(logits.shape)}`, "reshape them");
    if (!sameShape(targets.shape, [n])) throw new ShapeError(`crossEntropy: targets must be [${n}] for logits ${showShape(logits.shape)}; got ${showShape(targets.shape)}`);
    if (targets.dtype !== "i32") throw new ShapeError(`crossEntropy: targets must be i32; got ${targets.dtype}`);
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) throw new ShapeError(`crossEntropy: labelSmoothing must lie in 0..1; got ${labelSmoothing}`);
    return [spec([n]), spec([n, 2])];
  },
  cost([logits, targets]) {
    return { flops: 5 * sizeOf(logits.shape), bytes: bytesOf(logits, targets) + 12 * logits.shape[0] };
  },
  program([{ shape: [n, v] }], { ignoreIndex, labelSmoothing }, limits) {
    const { packed, element, items } = packRow(v);
    const layout = layRows(n, items, limits);
    const smooth = labelSmoothing > 0;
    const targetLogit = packed ? "logits[start + column / 4u][column % 4u]" : "logits[start + column]";
    return {
      wgsl: `${bindings([["logits", element], ["targets", "i32"]], [["losses", "f32"], ["rows", "vec2<f32>"]])}
const ITEMS = ${items}u;

${EXPONENTIALS}

${laneReduction("mergeLanes", "Exponentials", "merge(a, b)", layout.lanes)}
${smooth ? `\n${laneReduction("sumLanes", "f32", "a + b", layout.lanes)}\n` : ""}
${rowEntry(layout)}
  let start = row * ITEMS;
${smooth ? `  let firstLogit = logits[start]${packed ? ".x" : ""};
  let origin = select(0.0, firstLogit, abs(firstLogit) < 3.0e38); // −Inf where the first class is banned
  var deviations = ${element}(); // about the first logit: a sum of logits far from 0 would lose digits` : ""}
  ${exponentialsOfRow((i) => `logits[start + ${i}]`, packed, smooth ? (value) => `deviations += ${value} - origin;` : undefined)}
  let all = mergeLanes(own, lane);
${smooth ? `  let mean = sumLanes(${sumComponents("deviations", packed)}, lane) / ${f32(v)};` : ""}
  if (first != 0u) { return; }
  ${storeLoss(v, { ignoreIndex, labelSmoothing }, targetLogit)}
}`,
      grid: layout.grid,
    };
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis([...inputs, ...crossEntropyRows.infer(inputs, attrs)], attrs, limits);
  },
};

/** Whether the losses of the rows are averaged, over those that count, or added up. */
export type Reduction = "mean" | "sum";

/**
 * Sum or mean of the rows' losses.
 *
 * losses [N], targets i32 [N] → loss [], weight [] (what a row's loss weighs in it: 1, or 1 / rows that count).
 * The mean over no rows is NaN, as in PyTorch.
 */
export const crossEntropyTotal: Kernel<{ ignoreIndex: number; reduction: Reduction }> = {
  name: "crossEntropyTotal",
  infer() {
    return [spec([]), spec([])];
  },
  cost([losses, targets]) {
    return { flops: sizeOf(losses.shape), bytes: bytesOf(losses, targets) + 8 };
  },
  program([{ shape: [n] }], { ignoreIndex, reduction }, limits) {
    const layout = layRows(1, n, limits);
    return {
      wgsl: `${bindings([["losses", "f32"], ["targets", "i32"]], [["loss", "f32"], ["weight", "f32"]])}

${laneReduction("sumLanes", "vec2<f32>", "a + b", layout.lanes)}

${rowEntry(layout)}
  var own = vec2<f32>();
  for (var block = first; block < ${n}u; block += ${BLOCK}u * LANES) {
    var part = vec2<f32>();
    for (var i = block; i < min(block + ${BLOCK}u * LANES, ${n}u); i += LANES) {
      part += vec2<f32>(losses[i], select(1.0, 0.0, targets[i] == ${ignoreIndex}));
    }
    own += part;
  }
  let total = sumLanes(own, lane);
  if (first != 0u) { return; }
  loss[0] = total.x${reduction === "mean" ? " / total.y" : ""};
  weight[0] = ${reduction === "mean" ? "1.0 / total.y" : "1.0"};
}`,
      grid: layout.grid,
    };
  },
};

/**
 * dlogits = (softmax(logits) − q)·weight·dy, and 0 in ignored rows.
 *
 * dy [], logits [N,V], targets i32 [N], rows [N,2], weight [] → dlogits [N,V].
 */
export const crossEntropyBackward: Kernel<CrossEntropyAttrs> = {
  name: "crossEntropyBackward",
  infer([, logits]) {
    return [spec(logits.shape, logits.dtype)];
  },
  cost(inputs) {
    return { flops: 4 * sizeOf(inputs[1].shape), bytes: bytesOf(...inputs, inputs[1]) };
  },
  program([, { shape: [n, v] }], attrs, limits) {
    const { element, items } = packRow(v);
    const layout = layRows(n, items, limits);
    return {
      wgsl: `${bindings([["dy", "f32"], ["logits", element], ["targets", "i32"], ["rows", "vec2<f32>"], ["weight", "f32"]], [["dlogits", element]])}
const ITEMS = ${items}u;

${rowEntry(layout)}
  ${storeGradient("logits", "dlogits", v, { ...attrs, classes: v, firstClass: 0 })}
}`,
      grid: layout.grid,
    };
  },
  parts(inputs, attrs, limits) {
    return cutFirstAxis([...inputs, ...crossEntropyBackward.infer(inputs, attrs)], attrs, limits);
  },
};

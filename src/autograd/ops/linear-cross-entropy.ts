import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import { cast } from "../../kernels/cast.ts";
import { crossEntropyTotal } from "../../kernels/cross-entropy.ts";
import { addClasses, classGradients, lossesOfState, STATE_SIZE } from "../../kernels/linear-cross-entropy.ts";
import { matmul } from "../../kernels/matmul.ts";
import { reduce } from "../../kernels/reduce.ts";
import { spec } from "../../kernels/wgsl.ts";
import { rangesOf, type Range } from "../../kernels/windows.ts";
import { lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import { allocateTensor, type Tensor } from "../tensor.ts";
import type { CrossEntropyOptions } from "./cross-entropy.ts";
import { productInto } from "./matmul.ts";

/** Bytes of logits that are held at once: at 1,024 rows, 8,192 classes, whose products still fill a large GPU. */
const CHUNK_BYTES = 32 * 2 ** 20;
/** Classes of a chunk at least, however many rows there are: each chunk adds to the whole gradient of x. */
const FEWEST_CLASSES = 1024;
/** Chunks begin at multiples of that many classes, where bindings of a weight may begin whatever its width and type. */
const CLASS_STEP = 128;

export interface LinearCrossEntropyOptions extends CrossEntropyOptions {
  /** Classes whose logits are held at once, rounded up to a multiple of 128. Default: as many as take 32 MiB. */
  readonly chunk?: number;
}

interface Attrs extends Required<CrossEntropyOptions> {
  readonly ranges: readonly Range[];
  /** Whether the buffer of logits still holds those of the last chunk: the backward pass begins with them. */
  readonly held: { last: boolean };
}

const op = defineOp<Attrs>({
  name: "linearCrossEntropy",
  forward([x, weight, targets, ...bias], attrs) {
    const { device, shape: [n] } = x;
    const logits = allocateTensor(device, spec([n * attrs.ranges[0].end]), "logits of some classes");
    const state = allocateTensor(device, spec([n, STATE_SIZE]), "state of linearCrossEntropy");
    for (const range of attrs.ranges) {
      const part = computeLogits(logits, x, weight, bias, range);
      run(addClasses, [state, part, targets], { firstClass: range.begin });
    }
    const [losses, rows] = run(lossesOfState, [state, targets], { ...attrs, classes: weight.shape[0] });
    const [loss, rowWeight] = run(crossEntropyTotal, [losses, targets], attrs);
    return { outputs: [loss], saved: [logits, rows, rowWeight] };
  },
  backward([dy], { inputs: [x, weight, targets, ...bias], saved: [logits, rows, rowWeight], attrs, needs }) {
    if (dy === null) return [];
    const { device } = x;
    const classes = weight.shape[0];
    const gradientOf = (tensor: Tensor, needed: boolean): Tensor | null => (needed ? allocateTensor(device, spec(tensor.shape), "gradient of linearCrossEntropy") : null);
    const [dx, dweight] = [gradientOf(x, needs[0]), gradientOf(weight, needs[1])];
    const dbias = bias.length === 0 ? null : gradientOf(bias[0], needs[3]);
    attrs.ranges.toReversed().forEach((range, i) => {
      const part = i === 0 && attrs.held.last ? logits.window(0, partShape(x, range)) : computeLogits(logits, x, weight, bias, range);
      run(classGradients, [part, dy, targets, rows, rowWeight], { ...attrs, classes, firstClass: range.begin });
      if (dweight !== null) productInto(dweight.rows(range.begin, range.end), part, x, { transposeA: true, transposeB: false, accumulate: false });
      if (dbias !== null) sumRowsInto(dbias.rows(range.begin, range.end), part);
      if (dx !== null) productInto(dx, part, weight.rows(range.begin, range.end), { transposeA: false, transposeB: false, accumulate: i > 0 });
    });
    attrs.held.last = false; // they have become gradients
    const narrow = dx === null || dx.dtype === x.dtype ? dx : run(cast, [dx], { dtype: x.dtype })[0];
    return [narrow, dweight, null, ...(bias.length === 0 ? [] : [dbias])];
  },
});

/** Shape of the logits of a range of classes. */
function partShape(x: Tensor, { begin, end }: Range): number[] {
  return [x.shape[0], end - begin];
}

/** The logits of a range of classes, at the beginning of the buffer. */
function computeLogits(logits: Tensor, x: Tensor, weight: Tensor, bias: readonly Tensor[], range: Range): Tensor {
  const rows = [weight, ...bias].map((tensor) => tensor.rows(range.begin, range.end));
  return run(matmul, [x, ...rows], { transposeB: true, bias: bias.length > 0, wide: true }, [logits.window(0, partShape(x, range))])[0];
}

/** Sums over the first axis. */
function sumRowsInto(out: Tensor, x: Tensor): void {
  const [rows, columns] = x.shape;
  run(reduce, [x.view([1, rows, columns])], { fn: "sum", length: rows, divisor: 1 }, [out.view([1, 1, columns])]);
}

/**
 * Cross entropy of a linear layer's outputs, as `crossEntropy(linear(x, weight, bias), targets)`, without ever storing all
 * logits: x [N, D], weight [V, D], targets i32 [N], bias [V] (optional) → loss [].
 *
 * The classes are taken in chunks, whose logits share one buffer. The forward pass gathers maximum and sum of
 * exponentials; the backward pass computes each chunk's logits again, turns them into their gradient in place, and from
 * that writes the chunk's rows of the weight's gradient, once, and adds to that of x. The other way, rows in chunks with
 * gradients in the forward pass (as in Liger Kernel), saves that second product, a quarter of the work, but adds to the
 * whole gradient of the weight at every chunk of rows, holds it between the passes, and scales it in a third; for a
 * vocabulary like GPT-2's that is traffic of gigabytes, and products of few rows. Where all classes fit in one chunk
 * nothing is computed twice.
 * @throws ShapeError if x or weight is no matrix, the sizes don't fit, or an option is out of its range.
 * Source: the idea of Wijmans et al. 2024, "Cut your losses in large-vocabulary language models", arXiv:2411.09009.
 */
export function linearCrossEntropy(x: Tensor, weight: Tensor, targets: Tensor, options: LinearCrossEntropyOptions & { readonly bias?: Tensor } = {}): Tensor {
  const { bias, ignoreIndex = -100, labelSmoothing = 0, reduction = "mean", chunk } = options;
  const fail = (must: string, got: string): never => {
    throw new ShapeError(`linearCrossEntropy: ${must}; got ${got}`);
  };
  if (x.shape.length !== 2 || weight.shape.length !== 2 || x.shape[1] !== weight.shape[1]) fail("x must be [N,D] and weight [V,D]", `${showShape(x.shape)} and ${showShape(weight.shape)}`);
  if (!sameShape(targets.shape, [x.shape[0]]) || targets.dtype !== "i32") fail(`targets must be i32 [${x.shape[0]}]`, `${targets.dtype} ${showShape(targets.shape)}`);
  if (bias !== undefined && !sameShape(bias.shape, [weight.shape[0]])) fail(`bias must be [${weight.shape[0]}]`, showShape(bias.shape));
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) fail("labelSmoothing must lie in 0..1", `${labelSmoothing}`);
  if (chunk !== undefined && !(chunk > 0)) fail("chunk must be above 0", `${chunk}`);
  const ranges = chunksOf(x, weight.shape[0], chunk);
  return op([...lowered(x, weight), targets, ...(bias === undefined ? [] : [bias])], { ignoreIndex, labelSmoothing, reduction, ranges, held: { last: true } })[0];
}

/** Ranges of classes of about one size. */
function chunksOf({ shape: [n], device }: Tensor, classes: number, chunk?: number): Range[] {
  const bindable = device.limits.maxStorageBufferBindingSize / (4 * n);
  const most = chunk ?? Math.min(bindable, Math.max(CHUNK_BYTES / (4 * n), FEWEST_CLASSES));
  const whole = chunk === undefined ? Math.floor(most / CLASS_STEP) : Math.ceil(most / CLASS_STEP);
  const count = Math.ceil(classes / (Math.max(1, whole) * CLASS_STEP));
  return rangesOf(classes, Math.ceil(classes / count / CLASS_STEP) * CLASS_STEP);
}

import { run } from "../autograd/run.ts";
import { noGrad } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";
import { affine, div, sqrt, square, sum } from "../autograd/ops/index.ts";
import { CheckpointError, ShapeError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import { assign } from "../kernels/assign.ts";
import { combine } from "../kernels/combine.ts";
import { matmul } from "../kernels/matmul.ts";
import { SGD_PLAIN } from "../kernels/optimizer.ts";
import { Optimizer, type ParameterGroup, type Settings, type StepOptions } from "./optimizer.ts";

/** Steps of the Newton-Schulz iteration; five bring all singular values between about 0.7 and 1.2. */
const ITERATIONS = 5;

/** Coefficients of its odd polynomial a·x + b·x³ + c·x⁵, chosen for a steep rise at zero. */
const POLYNOMIAL = [3.4445, -4.775, 2.0315] as const;

const EPSILON = 1e-7;

export interface MuonOptions extends Partial<Settings> {
  /** Decay rate of the running mean of gradients. */
  readonly momentum?: number;
}

/**
 * Muon: stochastic gradient descent whose updates are made orthogonal, so that every direction of a weight matrix
 * learns at the same speed. For matrices and convolutions (taken as [out, rest]); give embeddings, output layers,
 * biases and norms to AdamW. It needs far fewer steps than AdamW on small vision networks.
 *
 *   m = βm + (1 − β)g;  u = βm + (1 − β)g;  p = (1 − lr·λ)p − lr·√max(1, rows/columns) · U Vᵀ,  with u = U S Vᵀ
 *
 * U Vᵀ comes from five Newton-Schulz steps, matrix products alone.
 * Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
 */
export class Muon extends Optimizer<Settings> {
  private readonly matrices: readonly Tensor[];
  private readonly means: readonly Tensor[];
  private readonly momentum: number;

  /** @throws ShapeError if a parameter is no matrix. */
  constructor(groups: readonly ParameterGroup<Settings>[], { momentum = 0.9, ...options }: MuonOptions = {}) {
    super(SGD_PLAIN, groups, { lr: 0.02, weightDecay: 0, ...options });
    this.matrices = groups.flatMap(({ params }) => [...params]);
    this.momentum = momentum;
    const vector = this.matrices.find(({ shape }) => shape.length < 2);
    if (vector !== undefined) throw new ShapeError(`Muon: every parameter must be a matrix or a convolution; got shape ${showShape(vector.shape)}`, "give it to AdamW");
    this.means = this.matrices.map(({ device, size, shape }) => new Tensor(device, shape, "f32", device.allocatePersistent(4 * size, "muon mean", true)));
  }

  /** @throws SightlineError for a scaled loss: directions are made from gradients before their scale is known to fit. */
  override step(options: StepOptions = {}): void {
    if (options.scaler !== undefined) throw new SightlineError("Muon: a scaled loss is not supported", "train in f32, or with AdamW");
    if (this.accumulates) this.accumulate(); // directions are made of whole sums
    noGrad(() => {
      this.matrices.forEach((parameter, i) => {
        const sum = this.sumOf(parameter);
        if (sum !== null) run(assign, [sum, this.direction(sum, this.means[i])], {});
        else if (parameter.grad !== null) parameter.grad = this.direction(parameter.grad, this.means[i]);
      });
    });
    super.step(options);
  }

  override async stateDict(): Promise<Map<string, HostTensor>> {
    const means = await Promise.all(this.means.map(async (mean, i) => [`${i}.mean`, { dtype: "f32", shape: mean.shape, data: await mean.read() }] as const));
    return new Map<string, HostTensor>([...(await super.stateDict()), ...means]);
  }

  override loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    const rest = new Map(state);
    const means = this.means.map(({ shape }, i) => {
      const name = `${i}.mean`;
      const found = state.get(name);
      if (found === undefined || !sameShape(found.shape, shape)) {
        throw new CheckpointError(`loadStateDict: "${name}" must be f32 ${showShape(shape)}; got ${found === undefined ? "nothing" : `${found.dtype} ${showShape(found.shape)}`}`, "the state belongs to another optimiser or model");
      }
      rest.delete(name);
      return found;
    });
    super.loadStateDict(rest);
    this.means.forEach((mean, i) => mean.write(means[i].data));
  }

  override dispose(): void {
    for (const mean of this.means) mean.dispose();
    super.dispose();
  }

  protected hyperparameters({ lr, weightDecay }: Settings): readonly number[] {
    return [lr, weightDecay, 0];
  }

  /** The orthogonal direction of a gradient, scaled for its shape; moves the running mean. */
  private direction(gradient: Tensor, mean: Tensor): Tensor {
    const weights = [this.momentum, 1 - this.momentum];
    const [moved] = run(combine, [mean, gradient], { weights });
    run(assign, [mean, moved], {});
    const [update] = run(combine, [moved, gradient], { weights });
    const rows = update.shape[0];
    const columns = sizeOf(update.shape.slice(1));
    return orthogonalise(update.view([rows, columns]), Math.sqrt(Math.max(1, rows / columns))).view(update.shape);
  }
}

/** x [rows, columns] → scale · U Vᵀ of its singular value decomposition U S Vᵀ, about. */
export function orthogonalise(x: Tensor, scale: number): Tensor {
  const [rows, columns] = x.shape;
  const wide = rows <= columns;
  const apply = (square: Tensor, y: Tensor): Tensor => run(matmul, wide ? [square, y] : [y, square], {})[0];
  let result = div(x, affine(sqrt(sum(square(x))), 1, EPSILON));
  for (let i = 0; i < ITERATIONS; i++) {
    const [gram] = run(matmul, [result, result], wide ? { transposeB: true } : { transposeA: true });
    const cubed = apply(gram, result);
    const weights = POLYNOMIAL.map((coefficient) => (i === ITERATIONS - 1 ? scale * coefficient : coefficient));
    [result] = run(combine, [result, cubed, apply(gram, cubed)], { weights });
  }
  return result;
}

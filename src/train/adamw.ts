import { ADAM } from "../kernels/optimizer.ts";
import { Optimizer, type ParameterGroup, type Settings } from "./optimizer.ts";

export interface AdamSettings extends Settings {
  /** Decay rates of the running means of gradient and squared gradient. */
  betas: readonly [number, number];
  epsilon: number;
}

export interface AdamOptions extends Partial<AdamSettings> {
  /** False: weight decay is added to the gradient, as in the original Adam. */
  readonly decoupled?: boolean;
}

/**
 * AdamW; {@link Adam} with `decoupled: false`. The defaults are those of torch.optim.AdamW (lr 1e-3, betas 0.9 and 0.999,
 * epsilon 1e-8, weight decay 0.01).
 *
 * Source: Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101.
 */
export class AdamW extends Optimizer<AdamSettings> {
  private readonly decoupled: boolean;

  constructor(groups: readonly ParameterGroup<AdamSettings>[], { decoupled = true, ...options }: AdamOptions = {}) {
    super(ADAM, groups, { lr: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: decoupled ? 0.01 : 0, ...options });
    this.decoupled = decoupled;
  }

  protected hyperparameters({ lr, betas: [beta1, beta2], epsilon, weightDecay }: AdamSettings, step: number): readonly number[] {
    const decay = this.decoupled ? 1 - lr * weightDecay : 1;
    const l2 = this.decoupled ? 0 : weightDecay;
    return [decay, l2, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step), epsilon];
  }
}

/** Adam: weight decay, 0 where left out, is added to the gradient; otherwise as {@link AdamW}. The same as torch.optim.Adam. */
export class Adam extends AdamW {
  constructor(groups: readonly ParameterGroup<AdamSettings>[], options: Omit<AdamOptions, "decoupled"> = {}) {
    super(groups, { ...options, decoupled: false });
  }
}

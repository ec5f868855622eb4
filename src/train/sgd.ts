import { SGD_MOMENTUM, SGD_NESTEROV, SGD_PLAIN } from "../kernels/optimizer.ts";
import { Optimizer, type ParameterGroup, type Settings } from "./optimizer.ts";

export interface SgdSettings extends Settings {
  momentum: number;
}

export interface SgdOptions extends Partial<SgdSettings> {
  readonly nesterov?: boolean;
}

/**
 * Stochastic gradient descent with momentum; the defaults are those of torch.optim.SGD (lr 1e-3, no momentum, no weight
 * decay). Without momentum in any group when it is made it keeps no moments.
 *
 * Source: Sutskever et al. 2013; evaluated as by torch.optim.SGD.
 */
export class SGD extends Optimizer<SgdSettings> {
  constructor(groups: readonly ParameterGroup<SgdSettings>[], { nesterov = false, ...options }: SgdOptions = {}) {
    const defaults = { lr: 1e-3, momentum: 0, weightDecay: 0, ...options };
    const moving = [defaults, ...groups].some(({ momentum = 0 }) => momentum !== 0);
    super(!moving ? SGD_PLAIN : nesterov ? SGD_NESTEROV : SGD_MOMENTUM, groups, defaults);
  }

  protected hyperparameters({ lr, weightDecay, momentum }: SgdSettings): readonly number[] {
    return [lr, weightDecay, momentum];
  }
}

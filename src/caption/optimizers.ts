import type { Tensor } from "../autograd/tensor.ts";
import { InputError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { Parameter } from "../nn/module.ts";
import { AdamW, type AdamSettings } from "../train/adamw.ts";
import { Muon } from "../train/muon.ts";
import type { Optimizer, ParameterGroup, Settings, StepOptions } from "../train/optimizer.ts";
import type { CaptionModel } from "./caption-model.ts";
import type { Recipe } from "./recipe.ts";
import { partOf } from "./systems.ts";

/** Tables whose rows are words or places: their gradients touch few rows, so they are no matrices to Muon. */
const TABLES = /(^|\.)(wte|wpe|embedding|pos_embed|cls_token|positions)(\.weight)?$/;

interface Member {
  readonly name: string;
  readonly optimizer: Optimizer<Settings>;
  /** Learning rate of each group at the top of the schedule. */
  readonly rates: readonly number[];
}

/** The optimisers of a run, as one: Muon for what the recipe says, AdamW for the rest; parts of the model with rates of their own. */
export class RunOptimizers {
  private readonly members: readonly Member[];
  private readonly adamw: AdamW;

  /**
   * Parts whose rate is 0 are frozen here, once and for all.
   * @throws InputError if nothing is left to train.
   */
  constructor(model: CaptionModel, { system, training }: Pick<Recipe, "system" | "training">) {
    const { learningRate, muonRate, muonFor, weightDecay, decayFor, betas, rates } = training;
    const factorOf = (name: string): number => rates[partOf(system, name)] ?? 1;
    const parameters = model.namedParameters();
    for (const [name, parameter] of parameters) parameter.requiresGrad = factorOf(name) > 0;
    const trained = parameters.filter(([, { requiresGrad }]) => requiresGrad);
    if (trained.length === 0) throw new InputError("the recipe must leave a part of the model to train; got rates that are all 0", "raise one of training.rates");

    const byMuon = ([name, { shape }]: readonly [string, Parameter]): boolean =>
      muonRate > 0 && (shape.length === 4 || (muonFor === "matrices" && shape.length === 2 && !TABLES.test(name)));
    const groupsOf = (some: readonly (readonly [string, Parameter])[]): { params: Parameter[]; factor: number; decays: boolean }[] => {
      const groups = new Map<string, { params: Parameter[]; factor: number; decays: boolean }>();
      for (const [name, parameter] of some) {
        const [factor, decays] = [factorOf(name), decayFor === "all" || parameter.shape.length >= 2];
        const group = groups.get(`${factor} ${decays}`) ?? { params: [], factor, decays };
        groups.set(`${factor} ${decays}`, group);
        group.params.push(parameter);
      }
      return [...groups.values()];
    };
    const ofMuon = groupsOf(trained.filter(byMuon));
    const ofAdamW = groupsOf(trained.filter((entry) => !byMuon(entry)));
    const adamwGroups: ParameterGroup<AdamSettings>[] = ofAdamW.map(({ params, decays }) => ({ params, weightDecay: decays ? weightDecay : 0 }));
    this.adamw = new AdamW(adamwGroups, { lr: learningRate, betas });
    this.members = [
      { name: "adamw", optimizer: this.adamw, rates: ofAdamW.map(({ factor }) => learningRate * factor) },
      ...(ofMuon.length === 0 ? [] : [{ name: "muon", optimizer: new Muon(ofMuon.map(({ params }) => ({ params })), { weightDecay }), rates: ofMuon.map(({ factor }) => muonRate * factor) }]),
    ];
  }

  /** The norm of the gradients that AdamW uses. */
  get gradientNorm(): Tensor {
    return this.adamw.gradientNorm;
  }

  /**
   * Sets all learning rates to this share of their greatest.
   * @param momentum The decay rate of AdamW's first running mean, where the schedule moves it.
   */
  setRate(share: number, momentum?: number): void {
    for (const { optimizer, rates } of this.members) {
      optimizer.groups.forEach((group, i) => {
        group.lr = rates[i] * share;
      });
    }
    if (momentum === undefined) return;
    for (const group of this.adamw.groups) group.betas = [momentum, group.betas[1]];
  }

  /** Adds the gradients to those of the next {@link step}. */
  accumulate(): void {
    for (const { optimizer } of this.members) optimizer.accumulate();
  }

  /** Forgets gradients, and which parameters had any. */
  zeroGrad(): void {
    for (const { optimizer } of this.members) optimizer.zeroGrad();
  }

  /** Clips AdamW's gradients; Muon's updates have a norm of their own. */
  step(options: StepOptions): void {
    for (const { optimizer } of this.members) optimizer.step(optimizer === this.adamw ? options : {});
  }

  async stateDict(): Promise<Map<string, HostTensor>> {
    const states = await Promise.all(this.members.map(async ({ name, optimizer }) => [...(await optimizer.stateDict())].map(([key, tensor]) => [`${name}.${key}`, tensor] as const)));
    return new Map(states.flat());
  }

  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    for (const { name, optimizer } of this.members) {
      const own = [...state].filter(([key]) => key.startsWith(`${name}.`));
      optimizer.loadStateDict(new Map(own.map(([key, tensor]) => [key.slice(name.length + 1), tensor])));
    }
  }

  dispose(): void {
    for (const { optimizer } of this.members) optimizer.dispose();
  }
}

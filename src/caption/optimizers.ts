import type { Tensor } from "../autograd/tensor.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { Module } from "../nn/module.ts";
import { AdamW } from "../train/adamw.ts";
import { Muon } from "../train/muon.ts";
import type { Optimizer, Settings, StepOptions } from "../train/optimizer.ts";
import type { Recipe } from "./recipe.ts";

interface Part {
  readonly name: string;
  readonly optimizer: Optimizer<Settings>;
  /** Learning rate at the top of the schedule. */
  readonly rate: number;
}

/** The optimisers of a run, as one: Muon for convolutions where the recipe wants it, AdamW for the rest. */
export class RunOptimizers {
  private readonly parts: readonly Part[];
  private readonly adamw: AdamW;

  constructor(model: Module, { learningRate, muonRate, weightDecay, betas }: Recipe) {
    const trained = model.parameters().filter(({ requiresGrad }) => requiresGrad);
    const convolutions = muonRate > 0 ? trained.filter(({ shape }) => shape.length === 4) : [];
    const rest = trained.filter((parameter) => !convolutions.includes(parameter));
    const decayed = rest.filter(({ shape }) => shape.length >= 2);
    const plain = rest.filter(({ shape }) => shape.length < 2);
    const groups = [{ params: decayed, weightDecay }, { params: plain, weightDecay: 0 }].filter(({ params }) => params.length > 0);
    this.adamw = new AdamW(groups, { lr: learningRate, betas });
    this.parts = [
      { name: "adamw", optimizer: this.adamw, rate: learningRate },
      ...(convolutions.length === 0 ? [] : [{ name: "muon", optimizer: new Muon([{ params: convolutions }], { weightDecay }), rate: muonRate }]),
    ];
  }

  /** The norm of the gradients that AdamW uses. */
  get gradientNorm(): Tensor {
    return this.adamw.gradientNorm;
  }

  /** Sets all learning rates to this share of their greatest. */
  setRate(share: number): void {
    for (const { optimizer, rate } of this.parts) optimizer.lr = rate * share;
  }

  /** Clips AdamW's gradients; Muon's updates have a norm of their own. */
  step(options: StepOptions): void {
    for (const { optimizer } of this.parts) optimizer.step(optimizer === this.adamw ? options : {});
  }

  async stateDict(): Promise<Map<string, HostTensor>> {
    const states = await Promise.all(this.parts.map(async ({ name, optimizer }) => [...(await optimizer.stateDict())].map(([key, tensor]) => [`${name}.${key}`, tensor] as const)));
    return new Map(states.flat());
  }

  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    for (const { name, optimizer } of this.parts) {
      const own = [...state].filter(([key]) => key.startsWith(`${name}.`));
      optimizer.loadStateDict(new Map(own.map(([key, tensor]) => [key.slice(name.length + 1), tensor])));
    }
  }

  dispose(): void {
    for (const { optimizer } of this.parts) optimizer.dispose();
  }
}

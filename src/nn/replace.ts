import { Module } from "./module.ts";

/** A layer somewhere in a model. */
export interface FoundLayer<Layer extends Module> {
  /** As in the names of its parameters. */
  readonly name: string;
  readonly layer: Layer;
  /** Puts another module in its place. */
  replace(by: Module): void;
}

/** All layers of a kind in the fields of a module and of those below it, in order. */
export function layersIn<Layer extends Module>(module: Module, isLayer: (module: Module) => module is Layer, prefix = ""): FoundLayer<Layer>[] {
  const found = (holder: object, key: PropertyKey, value: unknown, name: string): FoundLayer<Layer>[] => {
    if (!(value instanceof Module)) return [];
    if (isLayer(value)) return [{ name, layer: value, replace: (by) => Reflect.set(holder, key, by) }];
    return layersIn(value, isLayer, `${name}.`);
  };
  return Object.entries(module).flatMap(([field, value]): FoundLayer<Layer>[] => {
    if (Array.isArray(value)) return value.flatMap((element: unknown, i) => found(value, i, element, `${prefix}${field}.${i}`));
    return found(module, field, value, `${prefix}${field}`);
  });
}

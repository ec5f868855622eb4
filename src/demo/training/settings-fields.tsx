import { significant } from "../../core/format.ts";
import { Segments } from "../parts/segments.tsx";
import type { RunRequest, RunSettings } from "./service.ts";

interface NumberFieldProps {
  readonly label: string;
  readonly value: number | undefined;
  /** What holds where nothing is typed. */
  readonly usual: number | undefined;
  readonly least: number;
  readonly most: number;
  /** Default: whole numbers. */
  readonly step?: "any";
  readonly onChange: (value: number | undefined) => void;
}

/** A number; an empty field is the usual one. The browser says what is out of range, and the form does not go on then. */
export function NumberField({ label, value, usual, least, most, step, onChange }: NumberFieldProps) {
  return (
    <label class="field">
      {label}
      <input
        type="number" inputMode={step === undefined ? "numeric" : "decimal"} min={least} max={most} step={step ?? 1} value={value ?? ""} placeholder={usual === undefined ? "" : significant(usual)}
        onChange={({ currentTarget }) => onChange(currentTarget.value === "" ? undefined : Number(currentTarget.value))}
      />
    </label>
  );
}

interface SettingsFieldsProps {
  /** The recipe's values; null until they are known. */
  readonly usual: RunSettings | null;
  readonly value: Partial<RunSettings>;
  readonly size: RunRequest["size"];
  readonly onChange: (value: Partial<RunSettings>) => void;
  readonly onSize: (size: RunRequest["size"]) => void;
}

/** What most people leave as it is. */
export function SettingsFields({ usual, value, size, onChange, onSize }: SettingsFieldsProps) {
  const field = (name: keyof RunSettings): { value: number | undefined; usual: number | undefined; onChange: (value: number | undefined) => void } => ({ value: value[name], usual: usual?.[name], onChange: (given) => onChange({ ...value, [name]: given }) });
  return (
    <details class="train-settings" onInvalidCapture={({ currentTarget }) => (currentTarget.open = true)}>
      <summary>Settings</summary>
      <div class="train-fields">
        <Segments label="Size" value={size} onChoose={onSize} options={[{ value: "tiny", title: "Tiny" }, { value: "small", title: "Small" }]} />
        <NumberField label="Epochs" least={1} most={10_000} {...field("epochs")} />
        <NumberField label="Pictures a step" least={1} most={1024} {...field("batchSize")} />
        <NumberField label="Learning rate" least={1e-7} most={1} step="any" {...field("learningRate")} />
        <NumberField label="Seed" least={0} most={2 ** 32 - 1} {...field("seed")} />
      </div>
      <p class="quiet small">Empty fields keep the recipe's values. The same seed on the same device gives the same model.</p>
    </details>
  );
}

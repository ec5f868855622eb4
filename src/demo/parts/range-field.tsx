import "../style/parts.css";
import { useEffect, useState } from "preact/hooks";

interface RangeFieldProps {
  readonly label: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step?: number;
  readonly onChoose: (value: number) => void;
}

/** A number from a range. It is chosen when the handle is let go: what follows may take a while. */
export function RangeField({ label, value, least, most, step = 1, onChoose }: RangeFieldProps) {
  const [shown, setShown] = useState(value);
  useEffect(() => setShown(value), [value]);
  return (
    <label class="field range">
      <span>{label}<output>{step < 1 ? shown.toFixed(1) : shown}</output></span>
      <input
        type="range" min={least} max={most} step={step} value={shown}
        onInput={({ currentTarget }) => setShown(Number(currentTarget.value))}
        onChange={({ currentTarget }) => onChoose(Number(currentTarget.value))}
      />
    </label>
  );
}

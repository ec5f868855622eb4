import "../style/parts.css";
import { useId } from "preact/hooks";

interface SegmentsProps<T extends string> {
  readonly label: string;
  /** Whether the label is read out alone. */
  readonly hiddenLabel?: boolean;
  readonly options: readonly { readonly value: T; readonly title: string }[];
  readonly value: T;
  readonly onChoose: (value: T) => void;
}

/** One of a few, side by side: radio buttons, so that arrow keys go through them. */
export function Segments<T extends string>({ label, hiddenLabel = false, options, value, onChoose }: SegmentsProps<T>) {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class={hiddenLabel ? "for-readers" : ""}>{label}</legend>
      <div>
        {options.map((option) => (
          <label key={option.value}>
            <input type="radio" name={name} value={option.value} checked={option.value === value} onChange={() => onChoose(option.value)} />
            <span>{option.title}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

import { useRef } from "preact/hooks";

interface FileButtonProps {
  readonly label: string;
  readonly accept: string;
  readonly primary?: boolean;
  readonly plain?: boolean;
  readonly multiple?: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}

/** A button that asks for a file, or for several. */
export function FileButton({ label, accept, primary = false, plain = false, multiple = false, onFiles }: FileButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class={primary ? "primary" : plain ? "plain" : ""} onClick={() => input.current?.click()}>{label}</button>
      <input
        ref={input} type="file" accept={accept} multiple={multiple} aria-label={label} hidden
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          if (files.length > 0) onFiles(files);
          currentTarget.value = ""; // so that the same file can be chosen again
        }}
      />
    </>
  );
}

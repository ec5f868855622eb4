import { useEffect, useRef } from "preact/hooks";
import { chosenFolder, type GivenFolder } from "./given-files.ts";

/** A button that asks for a folder. */
export function FolderButton({ label, onFolder }: { readonly label: string; readonly onFolder: (folder: GivenFolder) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current!.webkitdirectory = true;
  }, []);
  return (
    <>
      <button type="button" onClick={() => input.current?.click()}>{label}</button>
      <input
        ref={input} type="file" multiple aria-label={label} hidden
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          if (files.length > 0) onFolder(chosenFolder(files));
          currentTarget.value = ""; // so that the same folder can be chosen again
        }}
      />
    </>
  );
}

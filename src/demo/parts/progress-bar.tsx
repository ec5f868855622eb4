/** How far something has come. @param share 0 to 1; undefined where nobody knows. */
export function ProgressBar({ label, share, detail }: { readonly label: string; readonly share: number | undefined; readonly detail?: string }) {
  return (
    <div class="progress">
      <div class="progress-text"><span>{label}</span><span>{detail ?? (share === undefined ? "" : `${Math.floor(100 * share)} %`)}</span></div>
      <progress aria-label={label} max={1} value={share} />
    </div>
  );
}

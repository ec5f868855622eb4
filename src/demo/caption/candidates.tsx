import { barsOf } from "./speech.ts";
import type { Telling } from "./use-description.ts";

/** All texts that were asked for, the likeliest first. @param count Places that are kept for them. */
export function Candidates({ telling, count }: { readonly telling: Telling; readonly count: number }) {
  const captions = telling.state === "told" ? telling.description.captions : [];
  const bars = barsOf(captions.map(({ score }) => score));
  return (
    <section class="candidates" aria-labelledby="candidates-title">
      <h2 id="candidates-title">Candidates <span class="quiet small">with their scores: logarithms of how likely the words are. Nearer to 0 is better, and a longer bar.</span></h2>
      <ol>
        {Array.from({ length: Math.max(count, captions.length) }, (_, place) => (
          <li key={place}>
            <span class="rank numbers quiet">{place + 1}</span>
            <span class="candidate">{captions[place]?.text}</span>
            <span class="share" aria-hidden="true"><span style={{ width: `${100 * (bars[place] ?? 0)}%` }} /></span>
            <span class="score numbers quiet">{captions[place]?.score.toFixed(2)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

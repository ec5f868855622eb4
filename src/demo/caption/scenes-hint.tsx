interface ScenesHintProps {
  /** Whether such a captioner has a picture that it cannot know. */
  readonly photograph: boolean;
  /** Shows the published models; undefined where none are offered. */
  readonly onPublished: (() => void) | undefined;
  /** Whether captioners can be trained on this page. */
  readonly trains: boolean;
}

/** What the page's own captioners know, and what to do for photographs. */
export function ScenesHint({ photograph, onPublished, trains }: ScenesHintProps) {
  return (
    <section class={`scenes-hint ${photograph ? "now" : ""}`} aria-label="What these captioners know">
      <p>
        {photograph
          ? <><strong>This captioner has never seen a photograph.</strong> It was trained on rings, squares, triangles and crosses that code drew, and whatever it is shown, it speaks of those.</>
          : <><strong>These captioners are tiny, and know drawn scenes alone.</strong> Each was trained on rings, squares, triangles and crosses that code drew, and whatever they are shown, they speak of those.</>}
        {(onPublished || trains) && " For your own pictures, "}
        {onPublished && <>open a <button type="button" onClick={onPublished}>published model</button>, which is fetched once and then stays in this browser{trains ? ", or " : "."}</>}
        {trains && <><a href="#train">train one of your own</a>, here in the tab.</>}
      </p>
    </section>
  );
}

import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { findPageAdapter, type PageAdapter } from "./adapter.ts";
import { Notice } from "./parts/notice.tsx";
import { loadSite, type Site } from "./site.ts";
import { CaptionView } from "./views/caption.tsx";

/** What every view is given. */
export interface ViewProps {
  readonly site: Site;
  readonly adapter: PageAdapter;
}

type View = FunctionComponent<ViewProps>;

interface Place {
  /** As it stands behind the # of the address. */
  readonly id: string;
  readonly title: string;
  /** Fetched when it is first visited. */
  readonly load: () => Promise<View>;
}

const CAPTION: Place = { id: "caption", title: "Caption", load: async () => CaptionView };
const TRAIN: Place = { id: "train", title: "Train", load: async () => (await import("./views/train.tsx")).TrainView };
const BENCH: Place = { id: "bench", title: "Bench", load: async () => (await import("./views/bench.tsx")).BenchView };
const NO_WEBGPU = async (): Promise<FunctionComponent> => (await import("./views/no-webgpu.tsx")).NoWebGPUView;

/** As the page's own text has it. */
const PAGE_TITLE = document.title;

function placesOf({ parts }: Site): Place[] {
  return [CAPTION, ...(parts.includes("train") ? [TRAIN] : []), ...(parts.includes("bench") ? [BENCH] : [])];
}

/** A file that is dropped where nothing takes it would be opened by the browser in place of the page, and end a run in it. */
function useNoDrops(): void {
  useEffect(() => {
    const stay = (event: DragEvent): void => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    addEventListener("dragover", stay);
    addEventListener("drop", stay);
    return () => {
      removeEventListener("dragover", stay);
      removeEventListener("drop", stay);
    };
  }, []);
}

function useHash(): string {
  const [hash, setHash] = useState(location.hash.slice(1));
  useEffect(() => {
    const follow = (): void => setHash(location.hash.slice(1));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return hash;
}

/** The result of a promise: undefined while it is under way. */
function usePromise<T>(make: () => Promise<T>): T | Error | undefined {
  const [value, setValue] = useState<T | Error>();
  useEffect(() => {
    make().then((made) => setValue(() => made), (error: unknown) => setValue(error instanceof Error ? error : new Error(String(error))));
  }, []);
  return value;
}

/** The frame of all views. A view that was visited stays: a training run goes on while pictures are captioned. */
export function App() {
  const site = usePromise(loadSite);
  const adapter = usePromise(findPageAdapter);
  const hash = useHash();
  useNoDrops();
  const [visited, setVisited] = useState<ReadonlySet<string>>(new Set());
  const places = site === undefined || site instanceof Error ? [CAPTION] : placesOf(site);
  const place = places.find(({ id }) => id === hash) ?? CAPTION;
  useEffect(() => setVisited((before) => new Set([...before, place.id])), [place.id]);
  useEffect(() => void (document.title = place === CAPTION ? PAGE_TITLE : `${place.title} · ${PAGE_TITLE}`), [place.id]);
  const failed = [site, adapter].find((value) => value instanceof Error);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}>Skip to the content</a>
      <header class="top">
        <div class="wide bar">
          <a class="brand" href="#caption"><img src="icon.svg" alt="" width="28" height="28" />sightline</a>
          <nav aria-label="Pages">
            {places.length > 1 && adapter !== null && places.map(({ id, title }) => <a key={id} href={`#${id}`} aria-current={id === place.id ? "page" : undefined}>{title}</a>)}
          </nav>
          <AdapterBadge adapter={adapter instanceof Error ? undefined : adapter} />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {failed instanceof Error && <div class="wide"><Notice kind="error">{failed.message}</Notice></div>}
        {adapter === null
          ? <Loaded load={NO_WEBGPU} props={{}} />
          : site !== undefined && adapter !== undefined && !(site instanceof Error) && !(adapter instanceof Error) && places.filter(({ id }) => visited.has(id)).map(({ id, load }) => (
            <div key={id} hidden={id !== place.id}><Loaded load={load} props={{ site, adapter }} /></div>
          ))}
      </main>
      <footer class="wide">
        <p><strong>Nothing leaves this device.</strong> Pictures are read, captions are made and models are trained by your own device, in this tab.</p>
      </footer>
    </>
  );
}

function Loaded<Props extends object>({ load, props }: { readonly load: () => Promise<FunctionComponent<Props>>; readonly props: Props }) {
  const view = usePromise(load);
  useEffect(() => {
    if (view !== undefined && performance.getEntriesByName("interactive").length === 0) performance.mark("interactive"); // for whoever measures how fast the page is there
  }, [view]);
  if (view === undefined) return <p class="wide quiet">Loading…</p>;
  if (view instanceof Error) return <div class="wide"><Notice kind="error">This part of the page could not be loaded: {view.message}. Reload the page.</Notice></div>;
  const Shown = view;
  return <Shown {...props} />;
}

function AdapterBadge({ adapter }: { readonly adapter: PageAdapter | null | undefined }) {
  const text = adapter === undefined ? "looking for WebGPU…" : adapter === null ? "no WebGPU" : adapter.label;
  return <span class={`badge ${adapter === null ? "off" : adapter?.summary.kind === "software" ? "slow" : ""}`} title={adapter?.summary.description}>{text}</span>;
}

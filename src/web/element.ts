import { InputError } from "../core/errors.ts";
import type { DescribeImageOptions } from "./describer.ts";
import { describe } from "./describe.ts";

/** What `sight-line-described` tells. */
export interface DescribedDetail {
  readonly image: HTMLImageElement;
  readonly text: string;
}

/** What `sight-line-failed` tells. */
export interface FailedDetail {
  readonly image: HTMLImageElement;
  readonly error: Error;
}

/** An image that was taken up. */
interface Known {
  /** Ends the work on it. */
  readonly ending: AbortController;
  /** Where its text is shown. */
  readonly line: HTMLElement;
  /** Its `alt` before. */
  readonly alt: string | null;
  /** The text that it got. */
  text: string | null;
}

/** How near to the viewport a lazy element describes an image. */
const NEAR = "200px";

const STYLE = `
:host { display: inline-block; max-inline-size: 100%; }
:host([hidden]) { display: none; }
div { inline-size: 0; min-inline-size: max(100%, 12em); }
[part="caption"] { margin-block: 0.35em 0; min-block-size: 1lh; font-size: 0.875em; opacity: 0.85; }
[part="caption"]:empty::before { content: "\\200b"; }
`;

/** Messages that were warned of: an adapter that is missing is missing for every image. */
const warned = new Set<string>();

/**
 * Defines the element that gives alternative text to the images in it. Nothing happens where it is defined already.
 *
 * ```html
 * <sight-line model="vit-gpt2"><img src="dog.jpg"></sight-line>
 * ```
 * An `<img>` without `alt` gets one; also an image that is added later, and one whose `src` changes. Texts of the page's author stay, and
 * so do images that `alt=""` marks as decoration.
 *
 * Attributes: `model`, `language` and `story` as {@link describe} takes them; `worker`, the address of the worker's script; `force` describes
 * images with `alt=""` too; `lazy` describes an image when it comes near to the viewport; `caption` shows the text below, in a line of
 * the shadow tree with the part `caption`, which is styled by `sight-line::part(caption)`.
 * Events, which bubble: `sight-line-described` with {@link DescribedDetail}, `sight-line-failed` with {@link FailedDetail}. While it is at work,
 * `aria-busy` is true. Nothing is thrown into the page: what fails is an event, and a warning on the console, once for each message.
 */
export function defineSightLine(name = "sight-line"): CustomElementConstructor {
  const defined = customElements.get(name);
  if (defined !== undefined) return defined;

  /** Made here, as there is no HTMLElement where pages are rendered on a server. */
  class SightLine extends HTMLElement {
    static readonly observedAttributes = ["model", "language", "story", "worker", "force", "lazy", "caption"];
    private readonly lines: HTMLElement;
    private sightings: IntersectionObserver | null = null;
    private readonly known = new Map<HTMLImageElement, Known>();
    private working = 0;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      this.lines = document.createElement("div");
      this.lines.ariaHidden = "true"; // the images say it already
      root.append(document.createElement("slot"), this.lines);
      new MutationObserver((records) => this.follow(records)).observe(this, { subtree: true, childList: true, attributes: true, attributeFilter: ["src", "srcset"] });
    }

    connectedCallback(): void {
      this.start();
    }

    /** Texts stay, as the element may only be on its way to another place; what is under way ends. */
    disconnectedCallback(): void {
      for (const [image, { text }] of this.known) if (text === null) this.letGo(image);
    }

    attributeChangedCallback(_: string, before: string | null, after: string | null): void {
      if (!this.isConnected || before === after) return;
      this.stop();
      this.start();
    }

    private start(): void {
      if (this.hasAttribute("lazy")) {
        this.sightings ??= new IntersectionObserver((entries) => {
          for (const { isIntersecting, target } of entries) if (isIntersecting) this.work(target as HTMLImageElement);
        }, { rootMargin: NEAR });
      }
      for (const image of this.querySelectorAll("img")) this.takeUp(image);
    }

    /** Forgets all images; texts that they got are taken back, so that they are described anew. */
    private stop(): void {
      this.sightings?.disconnect();
      this.sightings = null;
      for (const image of this.known.keys()) this.letGo(image);
    }

    private follow(records: readonly MutationRecord[]): void {
      for (const { type, target, addedNodes, removedNodes } of records) {
        if (type === "attributes" && target instanceof HTMLImageElement) {
          this.letGo(target);
          this.takeUp(target);
        }
        for (const image of imagesIn(removedNodes)) if (!this.contains(image)) this.letGo(image);
        for (const image of imagesIn(addedNodes)) this.takeUp(image);
      }
    }

    private takeUp(image: HTMLImageElement): void {
      if (!this.isConnected || !this.contains(image) || this.known.has(image) || !(image.hasAttribute("src") || image.hasAttribute("srcset"))) return;
      const alt = image.getAttribute("alt");
      if (alt !== null && !(alt === "" && this.hasAttribute("force"))) return;
      const line = document.createElement("p");
      line.setAttribute("part", "caption");
      if (this.hasAttribute("caption")) this.lines.append(line);
      this.known.set(image, { ending: new AbortController(), line, alt, text: null });
      if (this.sightings === null) this.work(image);
      else this.sightings.observe(image);
    }

    private letGo(image: HTMLImageElement): void {
      const entry = this.known.get(image);
      if (entry === undefined) return;
      this.known.delete(image);
      this.sightings?.unobserve(image);
      entry.ending.abort();
      entry.line.remove();
      if (entry.text === null || image.alt !== entry.text) return;
      if (entry.alt === null) image.removeAttribute("alt");
      else image.alt = entry.alt;
    }

    private work(image: HTMLImageElement): void {
      const entry = this.known.get(image);
      if (entry === undefined) return;
      this.sightings?.unobserve(image);
      this.busy(1);
      const { ending: { signal }, line } = entry;
      const options: DescribeImageOptions = {
        model: this.getAttribute("model") ?? undefined,
        language: this.getAttribute("language") ?? undefined,
        story: this.hasAttribute("story"),
        signal,
        onText: (text) => !signal.aborted && line.append(text),
      };
      describe(image, { ...options, worker: this.getAttribute("worker") ?? undefined }).then(
        (text) => {
          if (signal.aborted) return;
          if (image.getAttribute("alt") !== entry.alt) return this.letGo(image); // the page's author was faster
          if (text === "") return this.fail(image, new InputError("an image must get a text; the captioner said nothing of it", "try another model")); // an empty alt would mark it as decoration
          [entry.text, image.alt, line.textContent] = [text, text, text];
          this.tell<DescribedDetail>("sight-line-described", { image, text });
        },
        (error: unknown) => !signal.aborted && this.fail(image, error instanceof Error ? error : new Error(String(error))),
      ).finally(() => this.busy(-1));
    }

    private fail(image: HTMLImageElement, error: Error): void {
      this.tell<FailedDetail>("sight-line-failed", { image, error });
      if (warned.has(error.message)) return;
      warned.add(error.message);
      console.warn(`<${this.localName}>: ${error.message}`);
    }

    private busy(more: 1 | -1): void {
      this.working += more;
      if (this.working > 0) this.setAttribute("aria-busy", "true");
      else this.removeAttribute("aria-busy");
    }

    private tell<Detail>(type: string, detail: Detail): void {
      this.dispatchEvent(new CustomEvent<Detail>(type, { detail, bubbles: true, composed: true }));
    }
  }

  customElements.define(name, SightLine);
  return SightLine;
}

/** The images among nodes and all below them. */
function imagesIn(nodes: NodeList): HTMLImageElement[] {
  return [...nodes].flatMap((node) => (node instanceof HTMLImageElement ? [node] : node instanceof Element ? [...node.querySelectorAll("img")] : []));
}

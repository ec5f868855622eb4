/**
 * The Content-Security-Policy of the demo page and of what `sightline export` writes: the page's own files, and nothing inline or evaluated.
 * It stands in the page itself, so that it holds on any static host. `build.mjs` bundles this file for the demo.
 */

import { DEFAULT_ENDPOINT } from "../checkpoint/hub/names.ts";
import { PUBLISHED } from "../checkpoint/hub/manifest.ts";

/** Where the Hugging Face endpoint sends those who download: its stores of large files. */
const REDIRECTS = ["https://*.huggingface.co", "https://*.hf.co"];

const PLACE = /(<meta http-equiv="Content-Security-Policy" content=")[^"]*(")/;

/** Servers of the published weights, as sources of a policy. */
export function publishedServers(): readonly string[] {
  const origins = PUBLISHED.map(({ url }) => new URL(url ?? DEFAULT_ENDPOINT).origin);
  return [...new Set(origins), ...REDIRECTS];
}

/** The policy. @param servers Others than the page's own from which it may fetch. */
export function pagePolicy(servers: readonly string[] = []): string {
  const directives: Readonly<Record<string, readonly string[]>> = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "worker-src": ["'self'", "blob:"], // they begin at blob: addresses, so that this policy holds in them too
    "connect-src": ["'self'", ...servers],
    "img-src": ["'self'", "blob:", "data:"],
    "media-src": ["blob:", "mediastream:"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
  };
  return Object.entries(directives).map(([name, sources]) => `${name} ${sources.join(" ")}`).join("; ");
}

/** The page with a policy in place of the one that it had. */
export function withPolicy(html: string, policy: string): string {
  if (!PLACE.test(html)) throw new Error("withPolicy: the page must have a meta element for its Content-Security-Policy; got none");
  return html.replace(PLACE, `$1${policy}$2`);
}

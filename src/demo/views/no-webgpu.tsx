import "../style/no-webgpu.css";
import { useState } from "preact/hooks";
import { findPageAdapter } from "../adapter.ts";
import { CAUSES, causeOf, guideFor, GUIDES, type Guide } from "../no-webgpu/guides.ts";
import { recognise, type Visitor } from "../no-webgpu/visitor.ts";
import { CopyButton } from "../parts/copy-button.tsx";

/** What to do where there is no WebGPU: first for the browser at hand, then for all others. */
export function NoWebGPUView() {
  const cause = causeOf({ isSecure: isSecureContext, hasApi: navigator.gpu !== undefined });
  const visitor = visitorHere();
  const own = guideFor(visitor);
  const { title, text } = CAUSES[cause];
  return (
    <div class="wide no-webgpu">
      <h1>{title}</h1>
      <p class="lead">{text}</p>
      {cause === "insecure" && <SecureAddress />}
      {cause !== "insecure" && (own === undefined ? <Unknown /> : <OwnGuide guide={own} />)}
      <CheckAgain />
      <section>
        <h2>{own === undefined || cause === "insecure" ? "By browser and system" : "Other browsers and systems"}</h2>
        <div class="guides">
          {GUIDES.filter((guide) => guide !== own || cause === "insecure").map((guide) => (
            <details key={guide.title}><summary>{guide.title}</summary><GuideText guide={guide} /></details>
          ))}
        </div>
      </section>
      <section class="no-webgpu-causes">
        <h2>If all of this is done</h2>
        <dl>
          <div><dt>Remote desktops and virtual machines</dt><dd>They often have no graphics processor. Open the page on the computer itself.</dd></div>
          <div><dt>Drivers that browsers refuse</dt><dd>Browsers keep lists of drivers that crash or compute wrongly. A newer driver is mostly the way out.</dd></div>
          <div><dt>Computers of a company or a school</dt><dd>Their administrators may have switched off graphics acceleration for all.</dd></div>
          <div><dt>Without a browser</dt><dd>The same captioners run in Node, with no graphics processor too: <code>npm run caption -- picture.jpg</code></dd></div>
        </dl>
      </section>
    </div>
  );
}

/** `userAgentData` stands in no list of TypeScript's yet. */
function visitorHere(): Visitor {
  const { userAgent, maxTouchPoints } = navigator;
  const { userAgentData } = navigator as { readonly userAgentData?: { readonly brands: readonly { readonly brand: string }[] } };
  return recognise({ userAgent, maxTouchPoints, brands: userAgentData?.brands.map(({ brand }) => brand) });
}

function SecureAddress() {
  const { protocol, host, pathname } = location;
  return (
    <section class="card">
      <h2>What to do</h2>
      {protocol === "http:"
        ? <p>Try the same address with https: <a href={`https://${host}${pathname}`}>https://{host}{pathname}</a></p>
        : <p>Serve the folder from this computer, and open <code>http://localhost:8000</code>: <code>python3 -m http.server</code></p>}
    </section>
  );
}

function OwnGuide({ guide }: { readonly guide: Guide }) {
  return (
    <section class="card own-guide">
      <p class="quiet small">It seems that you use</p>
      <h2>{guide.title}</h2>
      <GuideText guide={guide} />
    </section>
  );
}

function Unknown() {
  return (
    <section class="card">
      <h2>What to do</h2>
      <p>Open this page in a current Chrome, Edge, Safari or Firefox. Below is what each of them needs.</p>
    </section>
  );
}

function GuideText({ guide: { since, steps } }: { readonly guide: Guide }) {
  return (
    <>
      <p>{since}</p>
      <ol>{steps.map(({ text, paste }) => <li key={text}>{text}{paste !== undefined && <Paste text={paste} />}</li>)}</ol>
    </>
  );
}

/** An address or a command for copying; pages over http have no clipboard. */
function Paste({ text }: { readonly text: string }) {
  return <span class="paste"><code>{text}</code>{isSecureContext && <CopyButton label="Copy" text={text} />}</span>;
}

/** Asks the browser once more; with an adapter the page begins anew. */
function CheckAgain() {
  const [answer, setAnswer] = useState("");
  const check = async (): Promise<void> => {
    setAnswer("Looking…");
    const adapter = await findPageAdapter().catch(() => null);
    if (adapter !== null) location.reload();
    else setAnswer(`Still nothing (${new Date().toLocaleTimeString()}). After a change of settings, start the browser again.`);
  };
  return (
    <div class="row check-again">
      <button type="button" class="primary" onClick={() => void check()}>Check again</button>
      <span role="status" class="quiet">{answer}</span>
    </div>
  );
}

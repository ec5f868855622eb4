/** The TypeScript samples of a guide as one program, and what it says they print. */
export interface GuideProgram {
  readonly source: string;
  /** Lines of output, in order: what stands behind the arrows of `console.log(…); // → first → second`. */
  readonly expected: readonly string[];
}

const IMPORT = /^import \{ (.*) \} from "(.*)";\n/gm;

/**
 * Joins the samples: those before the first chapter are seen by all, those of a chapter (`## …`) by one another.
 * @throws Error for an import that does not name what it takes.
 */
export function programOf(markdown: string): GuideProgram {
  const imports = new Map<string, Set<string>>();
  const chapters = markdown.split(/^## /m).map((chapter) => {
    const code = Array.from(chapter.matchAll(/^```ts\n(.*?)^```/gms), ([, sample]) => sample).join("\n");
    return code.replace(IMPORT, (_, names: string, from: string) => {
      for (const name of names.split(", ")) imports.set(from, (imports.get(from) ?? new Set()).add(name));
      return "";
    });
  });
  const [shared, ...others] = chapters;
  if (chapters.some((code) => /^import /m.test(code))) throw new Error('a sample\'s import must have the form: import { a, b } from "module";');
  const head = [...imports].map(([from, names]) => `import { ${[...names].join(", ")} } from "${from}";`).join("\n");
  const source = `${head}\n${shared}\n${others.filter((code) => code.trim() !== "").map((code) => `{\n${code}}\n`).join("\n")}\nawait device.close();\n`;
  const expected = Array.from(source.matchAll(/console\.log\(.*\/\/ → (.*)$/gm), ([, printed]) => printed.split(" → ")).flat();
  return { source, expected };
}

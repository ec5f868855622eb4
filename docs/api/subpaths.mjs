// The reference has one chapter for each subpath that the package exports, under the name by which it is imported; its introduction is the line that heads the
// file behind the subpath.
import { readFileSync } from "node:fs";
import { Comment, CommentTag, Converter, ReflectionKind } from "typedoc";

const root = new URL("../../", import.meta.url).pathname;
const { name, exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const sourceOf = (types) => root + types.replace("./dist/types", "src").replace(".d.ts", ".ts");
const chapters = new Map(Object.entries(exports).flatMap(([subpath, { types }]) => (types === undefined ? [] : [[sourceOf(types), subpath.replace(".", name)]])));

export function load(app) {
  app.on("bootstrapEnd", () => app.options.setValue("entryPoints", [...chapters.keys()]));
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const file = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName;
    if (!chapters.has(file)) return; // what the plugin for missing exports adds
    reflection.name = chapters.get(file);
    const [, summary = ""] = /^\/\*\* (.*?) \*\//s.exec(readFileSync(file, "utf8")) ?? [];
    reflection.comment = new Comment([{ kind: "text", text: summary.replaceAll("\n * ", "\n") }]);
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const { comment } of Object.values(project.reflections)) if (comment) setSourcesApart(comment);
  });
}

/** Gives the line "Source: …" of a comment a paragraph of its own where it follows a tag, whose text it would belong to otherwise. */
function setSourcesApart(comment) {
  for (const { content } of comment.blockTags) {
    const at = content.findIndex(({ kind, text }) => kind === "text" && /^Source: /m.test(text));
    if (at < 0) continue;
    const [before, source] = content[at].text.split(/^Source: /m);
    comment.blockTags.push(new CommentTag("@source", [{ kind: "text", text: source }, ...content.splice(at + 1)]));
    content[at].text = before;
  }
}

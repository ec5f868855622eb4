/** A style sheet or script of a web page, bundled and minified into a text by build.mjs. */
declare module "page-asset:*" {
  const text: string;
  export default text;
}

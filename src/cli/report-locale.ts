/**
 * Imported before uPlot, which formats numbers in `navigator.language` as soon as it is loaded: browsers that are
 * started under some POSIX locales give a tag there that `Intl` refuses, and the page would have no script at all.
 */
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en" });
}

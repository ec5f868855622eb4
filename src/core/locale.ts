/**
 * To be called before a package is loaded that formats numbers in `navigator.language` at once: browsers that are started under some
 * POSIX locales give a tag there that `Intl` refuses, and the package would not load at all.
 */
export function mendLocale(): void {
  try {
    new Intl.NumberFormat(navigator.language);
  } catch {
    Object.defineProperty(navigator, "language", { value: "en" });
  }
}

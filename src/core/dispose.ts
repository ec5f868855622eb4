/**
 * `Symbol.dispose`, also where a browser lacks it (Safari): compilers that lower `using` look for the registered symbol of that name there.
 */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

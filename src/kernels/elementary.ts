/**
 * WGSL of functions that have no builtin, or whose builtin overflows, loses digits or drops NaN and Inf on some adapters;
 * over the type `T` (f32 or vec4<f32>) of elementwise kernels, and `Bits`, as many u32. A function stands after those that it calls.
 */

const FUNCTIONS = {
  // A number by its bits, from a variable: constants that are not finite are refused.
  special: `fn special(bits: u32) -> T {
  var own = bits;
  return T(bitcast<f32>(own));
}`,
  carryNan: `fn carryNan(x: T, y: T) -> T { return select(y, x, (bitcast<Bits>(x) & Bits(0x7fffffffu)) > Bits(0x7f800000u)); }`,
  signum: `fn signum(x: T) -> T { return select(select(T(), T(-1.0), x < T()), T(1.0), x > T()); }`,
  // Comparisons rather than min and max, which may drop a NaN.
  between: `fn between(x: T, low: T, high: T) -> T {
  let raised = select(x, low, x < low);
  return select(raised, high, raised > high);
}`,
  sigmoid: `fn sigmoid(x: T) -> T {
  let e = exp(-abs(x));
  return select(e, T(1.0), x >= T(0.0)) / (T(1.0) + e);
}`,
  // A polynomial near 0, where 1 − e cancels. Source: Moshier, Cephes, tanhf.c.
  hyperbolic: `fn hyperbolic(x: T) -> T {
  let e = exp(-2.0 * abs(x));
  let y = (T(1.0) - e) / (T(1.0) + e);
  let z = x * x;
  let p = (((T(-5.70498872745e-3) * z + T(2.06390887954e-2)) * z - T(5.37397155531e-2)) * z + T(1.33314422036e-1)) * z - T(3.33332819422e-1);
  return select(select(-y, y, x >= T(0.0)), x + x * z * p, abs(x) < T(0.625));
}`,
  // 1 − y² cancels where |y| is near 1.
  hyperbolicSlope: `fn hyperbolicSlope(x: T) -> T {
  let e = exp(-2.0 * abs(x));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}`,
  // exp(−x²/2). Squaring rounds, and the exponential multiplies that error by x²: so the square is taken in two parts, of
  // which the great one is exact. Beyond 20 it is 0 in f32.
  bell: `fn bell(x: T) -> T {
  let a = min(abs(x), T(20.0));
  let h = floor(a * 16.0) / 16.0;
  return exp(-0.5 * h * h) * exp(-0.5 * (a - h) * (a + h));
}`,
  // The lower tail by erfc, which keeps its digits where 1 + erf(x / √2) cancels.
  // Source: Press et al., Numerical Recipes, "erfcc": relative error below 1.2e-7 everywhere.
  normalCdf: `fn normalCdf(x: T) -> T {
  let t = T(1.0) / (T(1.0) + abs(x) * 0.35355339059f);
  let p = (((((((t * 0.17087277f - 0.82215223f) * t + 1.48851587f) * t - 1.13520398f) * t + 0.27886807f) * t - 0.18628806f) * t + 0.09678418f) * t + 0.37409196f) * t + 1.00002368f;
  let tail = 0.5 * t * exp(t * p - 1.26551223f) * bell(x);
  return select(tail, T(1.0) - tail, x >= T(0.0));
}`,
  // A polynomial near 0, where 1 − erfc cancels. Source: Moshier, Cephes, ndtrf.c.
  errorFunction: `fn errorFunction(x: T) -> T {
  let z = x * x;
  let p = (((((T(7.853861353e-5) * z - T(8.010193625e-4)) * z + T(5.188327686e-3)) * z - T(2.685381193e-2)) * z + T(1.128358515e-1)) * z - T(3.761262582e-1)) * z + T(1.128379167);
  let y = 1.0 - 2.0 * normalCdf(-1.4142135624f * abs(x));
  return select(select(y, -y, x < T()), x * p, abs(x) < T(1.0));
}`,
  // geluTanh's ½ (1 + tanh u) is sigmoid(2u), which does not cancel for u ≪ 0.
  geluTanhArgument: `fn geluTanhArgument(x: T) -> T { return 1.5957691216f * (x + 0.044715f * x * x * x); }`,
  // log(1 + x) for −½ ≤ x ≤ 1 as 2 artanh(x / (2 + x)); the builtin may be off by 2⁻²¹ there, however small the logarithm.
  logNearOne: `fn logNearOne(x: T) -> T {
  let s = x / (x + 2.0);
  let z = s * s;
  return 2.0 * s * ((((((z / 13.0 + 0.0909090909f) * z + 0.1111111111f) * z + 0.1428571429f) * z + 0.2f) * z + 0.3333333333f) * z + 1.0);
}`,
  logarithm: `fn logarithm(x: T) -> T {
  let y = select(log(x), logNearOne(x - 1.0), abs(x - 1.25) <= T(0.75));
  let limit = select(select(y, special(0xff800000u), x == T()), x, x > T(3.4028234663852886e38f));
  return carryNan(x, select(limit, special(0x7fc00000u), x < T()));
}`,
  logOnePlus: `fn logOnePlus(x: T) -> T { return select(logarithm(x + 1.0), logNearOne(x), abs(x - 0.25) <= T(0.75)); }`,
  // Taylor's series near 0, where exp(x) − 1 cancels.
  expMinusOne: `fn expMinusOne(x: T) -> T {
  let series = x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)))))));
  return select(exp(x) - 1.0, series, abs(x) < T(0.5));
}`,
  // tanh(log(1 + exp(x))) = (u² + 2u) / (u² + 2u + 2) with u = exp(x).
  tanhSoftplus: `fn tanhSoftplus(x: T) -> T {
  let e = exp(-abs(x));
  let n = select(e * (e + 2.0), 1.0 + 2.0 * e, x >= T());
  return n / (n + 2.0 * select(T(1.0), e * e, x >= T()));
}`,
  // sin(x + quarter π/2): x less the nearest multiple of π/2, which is taken off in three parts, and a polynomial.
  // WGSL's sine may be off by 2⁻¹¹. Source: Moshier, Cephes, sinf.c.
  circular: `fn circular(x: T, quarter: f32) -> T {
  let turns = round(x * 0.6366197724f);
  let r = ((x - turns * 1.5703125f) - turns * 4.837512969970703e-4f) - turns * 7.549789948768648e-8f;
  let z = r * r;
  let sine = r + r * z * ((T(-1.9515295891e-4) * z + T(8.3321608736e-3)) * z - T(1.6666654611e-1));
  let cosine = ((T(2.443315711809948e-5) * z - T(1.388731625493765e-3)) * z + T(4.166664568298827e-2)) * z * z - 0.5 * z + 1.0;
  let place = turns + quarter;
  let quadrant = place - 4.0 * floor(place * 0.25);
  let y = select(sine, cosine, (quadrant == T(1.0)) | (quadrant == T(3.0)));
  return select(y, -y, quadrant >= T(2.0));
}`,
  // Whole exponents of negative numbers have a sign; anything to the power of 0, and 1 to any power, is 1.
  power: `fn power(x: T, y: T) -> T {
  let whole = floor(y) == y;
  let odd = floor(y * 0.5) != y * 0.5;
  let size = exp(y * logarithm(abs(x)));
  let signed = select(size, select(special(0x7fc00000u), select(size, -size, odd), whole), x < T());
  return select(carryNan(y, carryNan(x, signed)), T(1.0), (y == T()) | (x == T(1.0)));
}`,
} as const;

const known = new Map<string, string>(); // by text: ops that run one by one ask again and again

/** The WGSL of all functions that a text calls. */
export function elementaryFunctions(text: string): string {
  let functions = known.get(text);
  if (functions === undefined) {
    functions = calledBy(text);
    known.set(text, functions);
  }
  return functions;
}

function calledBy(text: string): string {
  return Object.entries(FUNCTIONS).reduceRight((all, [name, wgsl]) => (new RegExp(`\\b${name}\\(`).test(all + text) ? `${wgsl}\n${all}` : all), "");
}

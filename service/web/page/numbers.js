// Reads and writes numbers as people do, and chooses round numbers for axes.

/** How many decimals show `span` with about three significant digits. */
export function decimalsFor(span) {
  if (!(span > 0)) return 3;
  return Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(span))));
}

/** Format a number with a true minus sign, and a power of ten if it is very large or small. */
export function show(value, decimals) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const plain = size === 0 || (size < 1e7 && size >= 1e-4);
  const text = plain ? value.toFixed(Math.min(decimals, 6)) : value.toExponential(3);
  return text.replace("-", "\u2212");
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const THOUSANDS = /^[+-]?[1-9]\d{0,2},\d{3}(?!\d)/; // this may also be a decimal comma

/** Parse a number that may have a true minus sign or a decimal comma; NaN if it is ambiguous. */
export function parse(text) {
  const written = text.trim().replaceAll("\u2212", "-");
  const plain = THOUSANDS.test(written) ? "" : written.replace(",", ".");
  const number = NUMBER.test(plain) ? Number(plain) : NaN;
  return Number.isFinite(number) ? number : NaN;
}

/** Format a count with thousands separators. */
export const count = (n) => n.toLocaleString("en");

/** About `wanted` round numbers within [low, high]. */
export function ticks(low, high, wanted) {
  const step = niceStep((high - low) / wanted);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(i * step);
  return found;
}

/** The smallest number of the form 1, 2 or 5 times a power of ten that is at least `rough`. */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((m) => m * power >= rough * 0.999999) * power;
}

/** The number of [low, high] that is nearest to `value`. */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

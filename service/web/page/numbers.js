// Numbers as people read and write them.

/** Decimals that show `span` with about three significant digits. */
export function decimalsFor(span) {
  if (!(span > 0)) return 3;
  return Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(span))));
}

/** A number for the eye: a true minus sign, powers of ten when it is very large or small. */
export function show(value, decimals) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const plain = size === 0 || (size < 1e7 && size >= 1e-4);
  const text = plain ? value.toFixed(Math.min(decimals, 6)) : value.toExponential(3);
  return text.replace("-", "\u2212");
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const THOUSANDS = /^[+-]?[1-9]\d{0,2},\d{3}(?!\d)/; // or a decimal comma: nobody can tell

/** The number that a person wrote, with the true minus sign or a decimal comma; NaN when in doubt. */
export function read(text) {
  const written = text.trim().replaceAll("\u2212", "-");
  const plain = THOUSANDS.test(written) ? "" : written.replace(",", ".");
  const number = NUMBER.test(plain) ? Number(plain) : NaN;
  return Number.isFinite(number) ? number : NaN;
}

/** A count with its thousands apart. */
export const count = (n) => n.toLocaleString("en");

/** Round numbers within [low, high], about `wanted` of them. */
export function ticks(low, high, wanted) {
  const step = niceStep((high - low) / wanted);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(i * step);
  return found;
}

/** The number of the form 1, 2 or 5 times a power of ten that is nearest above `rough`. */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((m) => m * power >= rough * 0.999999) * power;
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

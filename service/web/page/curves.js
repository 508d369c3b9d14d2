// The points of one request, which are the chosen point and a line along each feature through it
// (a point for each word of a categorical one), and the answer split in the same way.

import { clamp } from "./numbers.js";

const MOST_POINTS = 800;

/** The range of a plot: the training range, extended to the value by at most its own width. */
function plotRange([low, high], value) {
  const span = high - low || Math.abs(low) || 1;
  if (value >= low && value <= high) return high > low ? [low, high] : [low - span, high + span];
  const edge = clamp(value, low - span, high + span);
  const margin = 0.06 * (Math.max(high, edge) - Math.min(low, edge));
  return value < low ? [edge - margin, high] : [low, edge + margin];
}

/** The line through `point` along each feature of a model: [{domain, xs}]; words have no domain. */
export function lines(point, { feature_names, training_range, categories = {} }) {
  const steps = clamp(Math.floor(MOST_POINTS / point.length), 9, 41);
  return point.map((value, j) => {
    const name = feature_names[j];
    if (name in categories) return { xs: categories[name] };
    const domain = plotRange(training_range[name], value);
    const step = (domain[1] - domain[0]) / (steps - 1);
    return { domain, xs: Array.from({ length: steps }, (_, i) => domain[0] + i * step) };
  });
}

/** All points in one array: the chosen point first, then those of each line. */
export function pointsOf(point, along) {
  return [point, ...along.flatMap(({ xs }, j) => xs.map((x) => point.with(j, x)))];
}

/** Split the answer to `pointsOf(point, along)`: {mean, lower, upper, variance, curves}. */
export function split(answer, along) {
  const at = (i) => ({
    mean: answer.mean[i],
    lower: answer.lower[i],
    upper: answer.upper[i],
    variance: answer.variance[i],
  });
  let next = 1;
  const curves = along.map(({ domain, xs }) => {
    const ys = xs.map((x) => ({ x, ...at(next++) }));
    return { domain, ys };
  });
  return { ...at(0), curves };
}

/** The lowest and the highest value of the band in an answer. */
export function extent({ lower, upper, curves }) {
  const all = curves.flatMap(({ ys }) => ys);
  return [
    Math.min(lower, ...all.map((y) => y.lower)),
    Math.max(upper, ...all.map((y) => y.upper)),
  ];
}

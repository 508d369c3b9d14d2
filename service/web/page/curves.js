// The points of one question, the point itself and a line along each feature, and their answer.

import { clamp } from "./numbers.js";

const MOST_POINTS = 800;

/** How far a plot reaches: the training range, and beyond it to the value, at most once more. */
export function reach([low, high], value) {
  const span = high - low || Math.abs(low) || 1;
  if (value >= low && value <= high) return high > low ? [low, high] : [low - span, high + span];
  const edge = clamp(value, low - span, high + span);
  const margin = 0.06 * (Math.max(high, edge) - Math.min(low, edge));
  return value < low ? [edge - margin, high] : [low, edge + margin];
}

/** The steps along each feature around `point`: [{domain, xs}]. */
export function lines(point, ranges) {
  const steps = clamp(Math.floor(MOST_POINTS / point.length), 9, 41);
  return point.map((value, j) => {
    const domain = reach(ranges[j], value);
    const step = (domain[1] - domain[0]) / (steps - 1);
    return { domain, xs: Array.from({ length: steps }, (_, i) => domain[0] + i * step) };
  });
}

/** All points in one array: the point first, then those of each line. */
export function pointsOf(point, along) {
  return [point, ...along.flatMap(({ xs }, j) => xs.map((x) => point.with(j, x)))];
}

/** The answer cut as the points were: {mean, lower, upper, variance, curves}. */
export function cut(answer, along) {
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

/** The lowest and highest end of the band anywhere in an answer. */
export function extent({ lower, upper, curves }) {
  const all = curves.flatMap(({ ys }) => ys);
  return [
    Math.min(lower, ...all.map((y) => y.lower)),
    Math.max(upper, ...all.map((y) => y.upper)),
  ];
}

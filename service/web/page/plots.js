// Draws the plots of the diagnostics, as SVG. Many points share one path: a page of thousands of
// elements would be slow.

import { element, linear, path } from "./chart.js";
import { decimalsFor, show, ticks } from "./numbers.js";

const HEIGHT = 240;
const LEFT = 44;
const RIGHT = 18; // half of the last number
const TOP = 26; // the name of the vertical axis
const BOTTOM = 40; // numbers and the name of the horizontal axis
const BIN = 0.5; // standard deviations
export const WIDEST = 6; // standard deviations; what is farther off is drawn at the edge

export const LIMIT_95 = 1.959963984540054;

const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);

/** The smallest and the largest of many numbers, with a margin. */
function domainOf(...lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const n of list) [low, high] = [Math.min(low, n), Math.max(high, n)];
  }
  const margin = 0.04 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

/** Axes with names and numbers; `marks` gets the two maps and returns what is drawn on them. */
function plot(svg, horizontal, vertical, marks) {
  const width = svg.clientWidth;
  if (!width) return;
  const x = linear(horizontal.domain, LEFT, width - RIGHT);
  const y = linear(vertical.domain, HEIGHT - BOTTOM, TOP);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const name = { class: "axis", y: HEIGHT - 6, x: width - RIGHT, "text-anchor": "end" };
  svg.replaceChildren(
    ...rules(vertical, y, width),
    ...numbers(horizontal, x, width),
    element("text", name, horizontal.name),
    element("text", { class: "axis", x: 0, y: 11 }, vertical.name),
    ...marks(x, y),
  );
}

/** Round numbers for an axis, at least two of them. */
function marksOf(domain, wanted) {
  const values = ticks(...domain, wanted);
  return values.length > 1 ? values : ticks(...domain, 2 * wanted);
}

function rules({ domain, percent }, y, width) {
  const values = marksOf(domain, 4);
  return values.flatMap((t) => [
    element("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(t), y2: y(t) }),
    element("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, label(t, values, percent)),
  ]);
}

function numbers({ domain, percent }, x, width) {
  const values = marksOf(domain, Math.max(2, Math.min(5, Math.floor(width / 80))));
  const middle = { y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" };
  return values.map((t) => element("text", { ...middle, x: x(t) }, label(t, values, percent)));
}

function label(value, all, percent) {
  if (percent) return `${Math.round(100 * value)} %`;
  return show(value, Math.max(0, decimalsFor(all[1] - all[0]) - 2));
}

/** Points as one path: dots where `within`, crosses elsewhere. */
function points(xs, ys, within) {
  const dots = [];
  const crosses = [];
  xs.forEach((at, i) => {
    const [px, py] = [at.toFixed(1), ys[i].toFixed(1)];
    if (within[i]) dots.push(`M${px} ${py}h0`);
    else crosses.push(`M${px - 3} ${py - 3}l6 6m0-6l-6 6`);
  });
  return [
    element("path", { class: "dots", d: dots.join("") }),
    element("path", { class: "crosses", d: crosses.join("") }),
  ];
}

function line(x1, y1, x2, y2) {
  return element("line", { class: "ideal", x1, y1, x2, y2 });
}

/** Draw what was predicted against what was observed, with the 95 % intervals. */
export function drawPredicted(svg, rows, output) {
  const observed = rows.map((row) => row.observed);
  const half = rows.map((row) => LIMIT_95 * Math.sqrt(row.variance));
  const low = rows.map((row, i) => row.mean - half[i]);
  const high = rows.map((row, i) => row.mean + half[i]);
  const horizontal = { domain: domainOf(observed), name: `observed ${output}` };
  const vertical = { domain: domainOf(low, high), name: "predicted" };
  const within = rows.map((row) => row.within_95);
  plot(svg, horizontal, vertical, (x, y) => {
    const from = Math.max(horizontal.domain[0], vertical.domain[0]);
    const to = Math.min(horizontal.domain[1], vertical.domain[1]);
    const bar = (i) => `M${x(observed[i]).toFixed(1)} ${y(low[i]).toFixed(1)}V${y(high[i]).toFixed(1)}`;
    const whiskers = rows.map((_, i) => bar(i)).join("");
    const means = rows.map((row) => y(row.mean));
    return [
      element("path", { class: "whiskers", d: whiskers }),
      ...(from < to ? [line(x(from), y(from), x(to), y(to))] : []),
      ...points(observed.map(x), means, within),
    ];
  });
}

const residualsOf = (rows) => rows.map((row) => row.standardised_residual);

function reach(residuals) {
  const largest = residuals.reduce((most, z) => Math.max(most, Math.abs(z)), 0);
  return Math.min(WIDEST, Math.max(3, Math.ceil(largest)));
}

/** Draw the residuals, in standard deviations, against what was predicted. */
export function drawResiduals(svg, rows, output) {
  const residuals = residualsOf(rows);
  const most = reach(residuals);
  const horizontal = { domain: domainOf(rows.map((row) => row.mean)), name: `predicted ${output}` };
  const vertical = { domain: [-most - 0.3, most + 0.3], name: "standard deviations" };
  plot(svg, horizontal, vertical, (x, y) => {
    const [from, to] = horizontal.domain.map(x);
    const [top, bottom] = [y(LIMIT_95), y(-LIMIT_95)];
    const band = { class: "band", x: from, width: to - from, y: top, height: bottom - top };
    const shown = residuals.map((z) => y(Math.min(most, Math.max(-most, z))));
    return [
      element("rect", band),
      line(from, y(0), to, y(0)),
      ...points(rows.map((row) => x(row.mean)), shown, rows.map((row) => row.within_95)),
    ];
  });
}

const density = (z) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

/** Draw how often residuals are of a size, and how often they should be. */
export function drawHistogram(svg, rows) {
  const residuals = residualsOf(rows);
  const most = reach(residuals);
  const counts = new Array((2 * most) / BIN).fill(0);
  for (const z of residuals) {
    const bin = Math.floor((z + most) / BIN);
    counts[Math.min(counts.length - 1, Math.max(0, bin))] += 1;
  }
  const total = sum(counts);
  const highest = Math.max(...counts, total * BIN * density(0));
  const horizontal = { domain: [-most, most], name: "standard deviations" };
  plot(svg, horizontal, { domain: [0, 1.05 * highest], name: "rows" }, (x, y) => {
    const bar = (count, i) => ({
      x: x(-most + i * BIN) + 0.5,
      width: x(BIN) - x(0) - 1,
      y: y(count),
      height: y(0) - y(count),
    });
    const steps = Array.from({ length: 101 }, (_, i) => -most + (i * 2 * most) / 100);
    const normal = path(steps.map((z) => [x(z), y(total * BIN * density(z))]));
    return [
      ...counts.map((count, i) => element("rect", { class: "bar", ...bar(count, i) })),
      element("path", { class: "ideal", d: normal }),
    ];
  });
}

/** Draw which share of the rows the intervals contain, against the share that they should. */
export function drawCoverage(svg, { nominal, actual }, count) {
  const whole = { domain: [0, 1], percent: true };
  const horizontal = { ...whole, name: "probability of the interval" };
  plot(svg, horizontal, { ...whole, name: "share of the rows" }, (x, y) => {
    const chance = (p) => LIMIT_95 * Math.sqrt((p * (1 - p)) / count);
    const clamped = (p) => Math.min(1, Math.max(0, p));
    const upper = nominal.map((p) => [x(p), y(clamped(p + chance(p)))]);
    const lower = nominal.map((p) => [x(p), y(clamped(p - chance(p)))]);
    const measured = nominal.map((p, i) => [x(p), y(actual[i])]);
    return [
      element("path", { class: "band", d: `${path([...upper, ...lower.reverse()])}Z` }),
      line(x(0), y(0), x(1), y(1)),
      element("path", { class: "line", d: path(measured) }),
    ];
  });
}

/** A bar for one of several numbers, of which `most` is the largest. */
export function barOf(value, most) {
  const svg = element("svg", { class: "share", "aria-hidden": "true", viewBox: "0 0 100 10" });
  svg.setAttribute("preserveAspectRatio", "none");
  const width = most > 0 ? (100 * value) / most : 0;
  svg.append(element("rect", { class: "bar", x: 0, y: 0, width, height: 10 }));
  return svg;
}

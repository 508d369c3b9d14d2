// Draws the plots along the features and the gauge of the answer, as SVG.

import { clamp, decimalsFor, niceStep, show, ticks } from "./numbers.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const NAMES = 16; // below the marks of a category
const LETTER = 6.5; // the width of a letter of the plot's text
const PAD = { x: 10, top: 10, bottom: 2 }; // x: half the thumb of a slider, so that the two line up

/** Create an SVG element. */
export function element(name, attributes, text) {
  const created = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  if (text !== undefined) created.textContent = text;
  return created;
}

/** A path through points. */
export const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;

/** A linear map of [from, to] onto [start, end]. */
export const linear = ([from, to], start, end) => (v) =>
  start + ((v - from) / (to - from || 1)) * (end - start);

/** The output's axis, which all plots share. It grows at once, but shrinks only in `settle`. */
export class OutputAxis {
  domain = null;

  /** Extend the axis to [low, high]. */
  include([low, high]) {
    const [a, b] = this.domain ?? [low, high];
    if (!this.domain || low < a || high > b) this.fit([Math.min(a, low), Math.max(b, high)]);
  }

  /** Shrink the axis if much of it is not needed for [low, high]; return whether it did. */
  settle([low, high]) {
    const loose = high - low < 0.6 * (this.domain[1] - this.domain[0]);
    if (loose) this.fit([low, high]);
    return loose;
  }

  fit([low, high]) {
    const span = high - low || Math.abs(high) || 1;
    const step = niceStep(span / 15);
    this.domain = [
      Math.floor((low - span * 0.04) / step) * step,
      Math.ceil((high + span * 0.04) / step) * step,
    ];
  }
}

/** Draw the mean and its band along one feature, and the chosen point. */
export function drawCurve(svg, { domain, ys }, range, value, point, axis) {
  const width = svg.clientWidth;
  if (!width) return;
  const x = linear(domain, PAD.x, width - PAD.x);
  const y = linear(axis.domain, HEIGHT - PAD.bottom, PAD.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren(
    ...outside(domain, range, x, width),
    ...grid(axis, y, width),
    band(ys, x, y),
    element("path", { class: "line", d: path(ys.map((p) => [x(p.x), y(p.mean)])) }),
    ...labels(axis, y),
    ...marker(x, y, clamp(value, ...domain), point),
  );
}

/** Draw the mean and its band for each word of a category, and the chosen one larger. */
export function drawChoices(svg, ys, value, axis) {
  const width = svg.clientWidth;
  if (!width) return;
  const x = linear([-0.5, ys.length - 0.5], PAD.x, width - PAD.x);
  const y = linear(axis.domain, HEIGHT - PAD.bottom, PAD.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT + NAMES}`);
  svg.replaceChildren(
    ...grid(axis, y, width),
    ...ys.flatMap((p, i) => choice(p, x(i), y, p.x === value)),
    ...labels(axis, y),
    ...names(ys, x),
  );
}

function choice({ mean, lower, upper }, cx, y, chosen) {
  const half = chosen ? 7 : 4;
  const [top, bottom] = [y(upper), y(lower)];
  return [
    element("rect", { class: "band", x: cx - half, y: top, width: 2 * half, height: bottom - top }),
    element("line", { class: "whisker", x1: cx, x2: cx, y1: bottom, y2: top }),
    element("circle", { class: chosen ? "dot" : "dot other", cx, cy: y(mean), r: chosen ? 5 : 4 }),
  ];
}

/** The words below their marks, if all of them fit; the field lists them, too. */
function names(ys, x) {
  const room = (x(1) - x(0)) / LETTER;
  if (ys.some((p) => p.x.length > room)) return [];
  const at = { y: HEIGHT + NAMES - 4, "text-anchor": "middle" };
  return ys.map((p, i) => element("text", { x: x(i), ...at }, p.x));
}

function outside(domain, [low, high], x, width) {
  const zones = [];
  if (domain[0] < low) zones.push([0, x(low)]);
  if (domain[1] > high) zones.push([x(high), width]);
  return zones.map(([a, b]) =>
    element("rect", { class: "beyond", x: a, y: 0, width: Math.max(0, b - a), height: HEIGHT }),
  );
}

function grid(axis, y, width) {
  return ticks(...axis.domain, 4).map((t) =>
    element("line", { class: "grid", x1: 0, x2: width, y1: y(t), y2: y(t) }),
  );
}

function labels(axis, y) {
  const values = ticks(...axis.domain, 4);
  const decimals = Math.max(0, decimalsFor(values[1] - values[0]) - 2);
  const fits = values.filter((t) => y(t) > PAD.top + 4);
  return fits.map((t) => element("text", { x: 0, y: y(t) - 4 }, show(t, decimals)));
}

function band(ys, x, y) {
  const upper = ys.map((p) => [x(p.x), y(p.upper)]);
  const lower = ys.map((p) => [x(p.x), y(p.lower)]);
  return element("path", { class: "band", d: `${path([...upper, ...lower.reverse()])}Z` });
}

function marker(x, y, at, { mean, lower, upper }) {
  const cx = x(at);
  return [
    element("line", { class: "whisker", x1: cx, x2: cx, y1: y(lower), y2: y(upper) }),
    element("circle", { class: "dot", cx, cy: y(mean), r: 5 }),
  ];
}

/** Draw the answer on a horizontal axis of the output. */
export function drawGauge(svg, { mean, lower, upper }, axis) {
  const width = svg.clientWidth;
  if (!width) return;
  const x = linear(axis.domain, 6, width - 6);
  const [from, to] = axis.domain;
  const decimals = Math.max(0, decimalsFor(to - from) - 1);
  svg.setAttribute("viewBox", `0 0 ${width} 44`);
  svg.replaceChildren(
    element("line", { class: "grid", x1: 6, x2: width - 6, y1: 12, y2: 12 }),
    element("rect", { class: "band", x: x(lower), y: 6, width: x(upper) - x(lower), height: 12, rx: 2 }),
    element("circle", { class: "dot", cx: x(mean), cy: 12, r: 5 }),
    element("text", { x: 0, y: 38 }, show(from, decimals)),
    element("text", { x: width, y: 38, "text-anchor": "end" }, show(to, decimals)),
  );
}

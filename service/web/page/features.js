// The inputs of the model: for each feature a number field, a slider, and the plot along it.

import { drawCurve } from "./chart.js";
import { $ } from "./dom.js";
import { clamp, decimalsFor, niceStep, read, show } from "./numbers.js";

const POSITIONS = 200;

// A field of type "number" leaves out what it does not know: of 1,5 it makes 15, of −5 it makes 5.
const TEMPLATE = `
  <div class="head">
    <label></label>
    <input class="number" type="text" role="spinbutton" autocomplete="off" spellcheck="false">
  </div>
  <svg class="plot" role="img"></svg>
  <div class="track"><input type="range" min="0" max="${POSITIONS}" step="1"></div>
  <div class="ends muted"><span></span><span></span></div>
  <p class="hint" hidden></p>`;

/** A number with the decimals that it has. */
const exact = (value) => show(value, (String(value).split(".")[1] ?? "").length);

const notRead = (text) =>
  text.includes(",") ? "Type a number with a decimal point, such as 1.5." : "Type a number.";

class Feature {
  /** @param onChange called after every change by the person */
  constructor(name, [low, high], index, onChange) {
    Object.assign(this, { name, low, high, onChange });
    this.decimals = decimalsFor(((high - low) / POSITIONS) * 100);
    this.root = document.createElement("div");
    this.root.className = "feature";
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", name);
    this.root.innerHTML = TEMPLATE;
    this.#find(index);
    this.#listen();
    this.reset();
  }

  #find(index) {
    const { root } = this;
    [this.field, this.slider] = root.querySelectorAll("input");
    this.svg = root.querySelector("svg");
    this.hint = root.querySelector(".hint");
    const label = root.querySelector("label");
    label.textContent = this.name;
    label.htmlFor = this.field.id = `feature-${index}`;
    this.hint.id = `hint-${index}`;
    this.field.setAttribute("aria-describedby", this.hint.id);
    this.step = niceStep((this.high - this.low || 1) / POSITIONS);
    this.slider.setAttribute("aria-label", `${this.name}, slider`);
    const [from, to] = root.querySelectorAll(".ends span");
    from.textContent = exact(this.low);
    to.textContent = exact(this.high);
  }

  #listen() {
    this.field.addEventListener("input", () => {
      this.value = read(this.field.value);
      this.#showValue(false);
      this.onChange();
    });
    this.field.addEventListener("change", () => this.#showValue(!Number.isNaN(this.value)));
    this.field.addEventListener("keydown", (event) => this.#stepped(event));
    this.slider.addEventListener("input", () => {
      this.set(this.#at(Number(this.slider.value)));
      this.onChange();
    });
  }

  #stepped(event) {
    const steps = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!steps || Number.isNaN(this.value)) return;
    event.preventDefault(); // the arrow would move the caret as well
    this.set(Number((this.value + steps * this.step).toPrecision(12)));
    this.onChange();
  }

  /** The value at a position of the slider: the exact ends, and round numbers between them. */
  #at(position) {
    if (position === 0) return this.low;
    if (position === POSITIONS) return this.high;
    const raw = this.low + (position / POSITIONS) * (this.high - this.low);
    return clamp(Number(raw.toFixed(this.decimals)), this.low, this.high);
  }

  /** "field" or "slider" when it has the focus. */
  get focused() {
    return ["field", "slider"].find((part) => this[part] === document.activeElement);
  }

  get outside() {
    return this.value < this.low || this.value > this.high;
  }

  /** Go to the middle of the training range. */
  reset() {
    this.set(this.#at(POSITIONS / 2));
  }

  set(value) {
    this.value = value;
    this.#showValue(true);
  }

  #showValue(fieldToo) {
    if (fieldToo) this.field.value = Number.isNaN(this.value) ? "" : this.value;
    const share = (this.value - this.low) / (this.high - this.low || 1);
    if (Number.isFinite(share)) this.slider.value = Math.round(share * POSITIONS);
    this.slider.setAttribute("aria-valuetext", String(this.value));
    this.field.ariaValueNow = Number.isNaN(this.value) ? null : this.value;
    this.root.classList.toggle("outside", this.outside);
    this.field.setAttribute("aria-invalid", String(Number.isNaN(this.value)));
    this.hint.hidden = !this.outside && !Number.isNaN(this.value);
    this.hint.textContent = Number.isNaN(this.value)
      ? notRead(this.field.value)
      : `Outside the training data: ${exact(this.low)} to ${exact(this.high)}.`;
  }

  /** Draw the curve of an answer; `value` is where it was asked for. */
  draw(curve, value, point, axis) {
    const span = curve.domain[1] - curve.domain[0];
    this.root.style.setProperty("--from", (this.low - curve.domain[0]) / span);
    this.root.style.setProperty("--to", (curve.domain[1] - this.high) / span);
    drawCurve(this.svg, curve, [this.low, this.high], value, point, axis);
    const [first, last] = [curve.ys[0], curve.ys.at(-1)];
    const decimals = decimalsFor(point.upper - point.lower);
    this.svg.setAttribute(
      "aria-label",
      `Mean along ${this.name}: ${show(first.mean, decimals)} at ${show(first.x, this.decimals)}, ` +
        `${show(last.mean, decimals)} at ${show(last.x, this.decimals)}`,
    );
  }
}

export class Inputs {
  features = [];

  /** @param onChange called after every change by the person */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Where they stand, in the model's order; NaN for a field that holds no number. */
  get point() {
    return this.features.map((feature) => feature.value);
  }

  /** Where they stand, by name. */
  get values() {
    return new Map(this.features.map(({ name, value }) => [name, value]));
  }

  /** The names of those that are outside the training range. */
  get outside() {
    return this.features.filter((feature) => feature.outside).map(({ name }) => name);
  }

  /** Become those of a model; `given` values by name are kept, and so is the focus. */
  become({ feature_names, training_range }, given) {
    const focus = this.#focus();
    this.features = feature_names.map(
      (name, j) => new Feature(name, training_range[name], j, this.onChange),
    );
    this.set(given);
    $("features").replaceChildren(...this.features.map((feature) => feature.root));
    if (focus) this.#goOn(focus);
  }

  /** Where the focus is, and what is half typed there: a field that is taken away tidies itself. */
  #focus() {
    const focused = this.features.find((feature) => feature.focused);
    return focused && { name: focused.name, part: focused.focused, text: focused.field.value };
  }

  /** Let the person go on: a new version may come in the midst of typing. */
  #goOn({ name, part, text }) {
    const same = this.features.find((feature) => feature.name === name);
    if (same) same.field.value = text;
    (same?.[part] ?? $("middle")).focus();
  }

  /** Go where values by name lead; the others stay. */
  set(values) {
    for (const feature of this.features) {
      if (values.has(feature.name)) feature.set(values.get(feature.name));
    }
  }

  reset() {
    for (const feature of this.features) feature.reset();
  }

  /** Draw the curves of an answer; `at` is where it was asked for. */
  draw(answer, at, axis) {
    this.features.forEach((feature, j) => feature.draw(answer.curves[j], at[j], answer, axis));
  }
}

// The inputs: for each feature of the model a number field, a slider and a plot, or its words.

import { drawCurve } from "./chart.js";
import { Choice } from "./choices.js";
import { $ } from "./dom.js";
import { clamp, decimalsFor, niceStep, parse, show } from "./numbers.js";

const POSITIONS = 200; // of a slider

// The field is no input of type "number", which would drop signs: 1,5 becomes 15, and −5 becomes 5.
const TEMPLATE = `
  <div class="head">
    <label></label>
    <input class="number" type="text" role="spinbutton" autocomplete="off" spellcheck="false">
  </div>
  <svg class="plot" role="img"></svg>
  <div class="track"><input type="range" min="0" max="${POSITIONS}" step="1"></div>
  <div class="ends muted"><span></span><span></span></div>
  <p class="hint" hidden></p>`;

/** Format a number with all of its decimals. */
const exact = (value) => show(value, (String(value).split(".")[1] ?? "").length);

const invalidHint = (text) =>
  text.includes(",") ? "Enter a number with a decimal point, such as 1.5." : "Enter a number.";

class Feature {
  /** @param onChange called after every change by the person */
  constructor(name, [low, high], index, onChange) {
    Object.assign(this, { name, low, high, onChange });
    this.step = niceStep((high - low || 1) / POSITIONS);
    this.decimals = decimalsFor(((high - low) / POSITIONS) * 100);
    this.#createElements(index);
    this.#listen();
    this.reset();
  }

  #createElements(index) {
    const root = document.createElement("div");
    root.className = "feature";
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", this.name);
    root.innerHTML = TEMPLATE;
    [this.field, this.slider] = root.querySelectorAll("input");
    this.svg = root.querySelector("svg");
    this.hint = root.querySelector(".hint");
    this.root = root;
    this.#label(index);
  }

  #label(index) {
    const label = this.root.querySelector("label");
    label.textContent = this.name;
    label.htmlFor = this.field.id = `feature-${index}`;
    this.hint.id = `hint-${index}`;
    this.field.setAttribute("aria-describedby", this.hint.id);
    this.slider.setAttribute("aria-label", `${this.name}, slider`);
    const [from, to] = this.root.querySelectorAll(".ends span");
    from.textContent = exact(this.low);
    to.textContent = exact(this.high);
  }

  #listen() {
    this.field.addEventListener("input", () => {
      this.value = parse(this.field.value);
      this.#showValue();
      this.onChange();
    });
    this.field.addEventListener("change", () => this.valid && this.set(this.value));
    this.field.addEventListener("keydown", (event) => this.#pressed(event));
    this.slider.addEventListener("input", () => {
      this.set(this.#at(Number(this.slider.value)));
      this.onChange();
    });
  }

  #pressed(event) {
    const steps = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!steps || !this.valid) return;
    event.preventDefault(); // the arrow would also move the caret
    this.set(Number((this.value + steps * this.step).toPrecision(12)));
    this.onChange();
  }

  /** The value at a position of the slider: the exact ends, and rounded values between them. */
  #at(position) {
    if (position === 0) return this.low;
    if (position === POSITIONS) return this.high;
    const raw = this.low + (position / POSITIONS) * (this.high - this.low);
    return clamp(Number(raw.toFixed(this.decimals)), this.low, this.high);
  }

  /** "field" or "slider", whichever has the focus. */
  get focused() {
    return ["field", "slider"].find((part) => this[part] === document.activeElement);
  }

  /** Whether the field holds a number. */
  get valid() {
    return !Number.isNaN(this.value);
  }

  get outside() {
    return this.value < this.low || this.value > this.high;
  }

  /** Return to the middle of the training range. */
  reset() {
    this.set(this.#at(POSITIONS / 2));
  }

  /** Set a number, or the text of one; other text changes nothing. */
  set(given) {
    const value = typeof given === "string" ? parse(given) : given;
    if (typeof given === "string" && Number.isNaN(value)) return;
    this.value = value;
    this.field.value = this.valid ? value : "";
    this.#showValue();
  }

  /** Show the text that the person was typing, and focus the field or the slider again. */
  restore(part, text) {
    this.field.value = text;
    this[part].focus();
  }

  /** Show the value everywhere but in the field, where the person may be typing. */
  #showValue() {
    const share = (this.value - this.low) / (this.high - this.low || 1);
    if (Number.isFinite(share)) this.slider.value = Math.round(share * POSITIONS);
    this.slider.setAttribute("aria-valuetext", String(this.value));
    this.field.ariaValueNow = this.valid ? this.value : null;
    this.field.setAttribute("aria-invalid", String(!this.valid));
    this.root.classList.toggle("outside", this.outside);
    this.hint.hidden = this.valid && !this.outside;
    this.hint.textContent = this.valid
      ? `Outside the training range: ${exact(this.low)} to ${exact(this.high)}.`
      : invalidHint(this.field.value);
  }

  /** Draw the curve of an answer; `value` is where the answer was computed. */
  draw(curve, value, point, axis) {
    const span = curve.domain[1] - curve.domain[0];
    this.root.style.setProperty("--from", (this.low - curve.domain[0]) / span);
    this.root.style.setProperty("--to", (curve.domain[1] - this.high) / span);
    drawCurve(this.svg, curve, [this.low, this.high], value, point, axis);
    const decimals = decimalsFor(point.upper - point.lower);
    const at = ({ x, mean }) => `${show(mean, decimals)} at ${show(x, this.decimals)}`;
    const text = `Mean along ${this.name}: ${at(curve.ys[0])}, ${at(curve.ys.at(-1))}`;
    this.svg.setAttribute("aria-label", text);
  }
}

export class Inputs {
  features = [];

  /** @param onChange called after every change by the person */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /** The numbers and words in the model's order; NaN for a field that holds no number. */
  get point() {
    return this.features.map((feature) => feature.value);
  }

  /** The values by feature name. */
  get values() {
    return new Map(this.features.map(({ name, value }) => [name, value]));
  }

  /** The names of the features whose value is outside the training range. */
  get outside() {
    return this.features.filter((feature) => feature.outside).map(({ name }) => name);
  }

  /** Show the features of a model, with the values given by name; the focus stays where it is. */
  show({ feature_names, training_range, categories = {} }, values) {
    const focus = this.#focus();
    this.features = feature_names.map((name, j) =>
      name in categories
        ? new Choice(name, categories[name], j, this.onChange)
        : new Feature(name, training_range[name], j, this.onChange),
    );
    this.set(values);
    $("features").replaceChildren(...this.features.map((feature) => feature.root));
    if (focus) this.#restore(focus);
  }

  /** Where the focus is, and the text there, which the field changes when it is removed. */
  #focus() {
    const focused = this.features.find((feature) => feature.focused);
    return focused && { name: focused.name, part: focused.focused, text: focused.field.value };
  }

  /** A new version may arrive while the person is typing. */
  #restore({ name, part, text }) {
    const feature = this.features.find((candidate) => candidate.name === name);
    if (feature?.[part]) feature.restore(part, text);
    else $("middle").focus();
  }

  /** Set numbers and words, or their text, by feature name; other features keep theirs. */
  set(values) {
    for (const feature of this.features) {
      if (values.has(feature.name)) feature.set(values.get(feature.name));
    }
  }

  reset() {
    for (const feature of this.features) feature.reset();
  }

  /** Draw the curves of an answer that was computed at a point. */
  draw(answer, point, axis) {
    this.features.forEach((feature, j) => feature.draw(answer.curves[j], point[j], answer, axis));
  }
}

// A categorical input: a field to choose one of its words, and the plot over all of them.

import { drawChoices } from "./chart.js";
import { decimalsFor, show } from "./numbers.js";

const TEMPLATE = `
  <div class="head">
    <label></label>
    <select class="words"></select>
  </div>
  <svg class="plot named" role="img"></svg>`;

/** Has the same members as `Feature`, whose value is a number. */
export class Choice {
  outside = false;
  valid = true;

  /** @param onChange called after every change by the person */
  constructor(name, words, index, onChange) {
    Object.assign(this, { name, words });
    this.root = document.createElement("div");
    this.root.className = "feature";
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", name);
    this.root.innerHTML = TEMPLATE;
    this.field = this.root.querySelector("select");
    this.field.append(...words.map((word) => new Option(word)));
    this.field.id = `feature-${index}`;
    this.field.addEventListener("change", onChange);
    const label = this.root.querySelector("label");
    label.textContent = name;
    label.htmlFor = this.field.id;
  }

  get value() {
    return this.words[this.field.selectedIndex];
  }

  /** "field", if it has the focus. */
  get focused() {
    return this.field === document.activeElement ? "field" : undefined;
  }

  /** Return to the first word. */
  reset() {
    this.field.selectedIndex = 0;
  }

  /** Choose a word; whatever is none changes nothing, as in the link to another model. */
  set(word) {
    const index = this.words.indexOf(String(word));
    if (index >= 0) this.field.selectedIndex = index;
  }

  /** Focus the field again, which cannot hold half a word. */
  restore() {
    this.field.focus();
  }

  /** Draw the answer for each word. */
  draw({ ys }, value, point, axis) {
    drawChoices(this.svg, ys, value, axis);
    const decimals = decimalsFor(point.upper - point.lower);
    const means = ys.map(({ x, mean }) => `${show(mean, decimals)} for ${x}`);
    this.svg.setAttribute("aria-label", `Mean for each ${this.name}: ${means.join(", ")}`);
  }

  get svg() {
    return this.root.querySelector("svg");
  }
}

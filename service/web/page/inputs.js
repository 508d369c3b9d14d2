// The inputs of the model, a feature each.

import { Feature } from "./feature.js";

const $ = (id) => document.getElementById(id);

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

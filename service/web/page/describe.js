// Describes the model in words, and makes an example table for it.

import { $ } from "./dom.js";
import { count } from "./numbers.js";

const EXAMPLE_ROWS = 20;

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const plain = (value) => (typeof value === "number" ? Number(value.toPrecision(3)) : String(value));

const SCORES = {
  held_out_rows: ["held-out rows", count],
  rmse: ["root mean squared error", plain],
  coverage_95: ["within the 95 % band", percent],
  log_predictive_density: ["log predictive density", plain],
};

/** Words as a list: "lat, long and depth". */
export const listed = (words) => new Intl.ListFormat("en-GB").format(words);

/** Show what the model predicts, where it comes from and how good it is. */
export function describe(model) {
  document.title = `${model.name} · gpserve`;
  $("name").textContent = model.name;
  $("lead").textContent = `Predicts ${model.output_name} from ${listed(model.feature_names)}.`;
  $("origin").textContent = origin(model);
  $("output").textContent = model.output_name;
  $("columns").textContent = listed(model.feature_names);
  $("scores").replaceChildren(...scores(model.scores ?? {}));
  $("quality").hidden = $("scores").childElementCount === 0;
}

function origin({ kernel, training_points, created, version }) {
  const day = new Date(created);
  const when = Number.isNaN(day.valueOf())
    ? ""
    : ` on ${day.toLocaleDateString("en-GB", { dateStyle: "long" })}`;
  return `${kernel}, trained on ${count(training_points)} points${when}. Version ${version}.`;
}

function scores(given) {
  const known = Object.keys(SCORES).filter((name) => name in given);
  return [...new Set([...known, ...Object.keys(given)])].flatMap((name) => {
    const [words, format] = SCORES[name] ?? [name.replaceAll("_", " "), plain];
    const term = document.createElement("dt");
    const number = document.createElement("dd");
    term.textContent = words;
    number.textContent = format(given[name]);
    return [term, number];
  });
}

const quoted = (text) => (/[",\n;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A small CSV with the columns of the model and random values within the training range, or random words. */
export function exampleTable({ feature_names, training_range, categories = {} }) {
  const number = ([low, high]) => Number((low + Math.random() * (high - low)).toPrecision(5));
  const word = (words) => quoted(words[Math.floor(Math.random() * words.length)]);
  const cell = (name) =>
    name in categories ? word(categories[name]) : number(training_range[name]);
  const row = () => feature_names.map(cell).join(",");
  const lines = [feature_names.map(quoted).join(","), ...Array.from({ length: EXAMPLE_ROWS }, row)];
  return new Blob([`${lines.join("\n")}\n`], { type: "text/csv" });
}

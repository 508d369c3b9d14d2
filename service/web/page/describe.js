// Describes the model in words, and makes an example table for it.

import { $ } from "./dom.js";
import { count } from "./numbers.js";

const EXAMPLE_ROWS = 20;

const percent = (share) => `${(100 * share).toFixed(1)} %`;
/** A number with a few digits, or a word. */
export function plain(value, digits = 3) {
  if (typeof value !== "number") return String(value);
  return String(Number(value.toPrecision(digits))).replace("-", "\u2212");
}

const within = (level) => [`within the ${level} % band`, percent];

const SCORES = {
  held_out_rows: ["held-out rows", count],
  rows: ["scored rows", count],
  rmse: ["root mean squared error", plain],
  q2: ["explained variance, Q²", percent],
  coverage_50: within(50),
  coverage_80: within(80),
  coverage_90: within(90),
  coverage_95: within(95),
  coverage_99: within(99),
  log_predictive_density: ["log predictive density", plain],
  predictive_variance_adequacy: ["variance adequacy", (v) => v.toFixed(3)],
  largest_residual: ["largest residual", (z) => `${z.toFixed(1)} σ`],
};

const BRIEFLY = ["held_out_rows", "rows", "rmse", "q2", "coverage_95", "log_predictive_density"];

/** How a model can be scored. */
export const METHODS = {
  leave_one_out: {
    words: "left out",
    explained: (n) => `Each of the ${count(n)} training rows, predicted from all others.`,
    counted: "in the order of the training data",
  },
  held_out: {
    words: "held out",
    explained: (n) => `${count(n)} rows that were held out when the model was trained.`,
    counted: "among the held-out ones",
  },
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
  showFault(model.scores ?? {});
  $("quality").hidden = $("scores").childElementCount === 0;
}

function origin({ kernel, training_points, created, version }) {
  const day = new Date(created);
  const when = Number.isNaN(day.valueOf())
    ? ""
    : ` on ${day.toLocaleDateString("en-GB", { dateStyle: "long" })}`;
  return `${kernel}, trained on ${count(training_points)} points${when}. Version ${version}.`;
}

/** The scores in words and as people read them; those without words at the end. */
export function scoreLines(given) {
  const known = Object.keys(SCORES).filter((name) => name in given);
  return [...new Set([...known, ...Object.keys(given)])].map((name) => {
    const [words, format] = SCORES[name] ?? [name.replaceAll("_", " "), plain];
    return [words, format(given[name])];
  });
}

/** The few scores that matter to all: by leave-one-out, if the model has them. */
function briefly(scores) {
  const chosen = scores.leave_one_out ?? scores.held_out ?? scores;
  const single = Object.entries(chosen).filter(([, value]) => typeof value !== "object");
  const brief = single.filter(([name]) => BRIEFLY.includes(name) || !(name in SCORES));
  return Object.fromEntries(brief);
}

function scores(given) {
  return scoreLines(briefly(given)).flatMap(([words, text]) => {
    const term = document.createElement("dt");
    const number = document.createElement("dd");
    term.textContent = words;
    number.textContent = text;
    return [term, number];
  });
}

function showFault({ faults = [], verdict = [] }) {
  $("fault").hidden = faults.length === 0;
  $("fault").textContent = faults.length ? verdict[0] : "";
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

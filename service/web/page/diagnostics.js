// The section that says how good the model is: words, plots, and the worst rows.

import { getDiagnostics, getDiagnosticsTable } from "./api.js";
import { METHODS, plain, scoreLines } from "./describe.js";
import { $ } from "./dom.js";
import { count, decimalsFor, show } from "./numbers.js";
import { WIDEST, barOf, drawCoverage, drawHistogram, drawPredicted, drawResiduals } from "./plots.js";

/** Loads the diagnostics once they are about to be seen: callers of the model need not wait. */
export class DiagnosticsPanel {
  #model = null;
  #shown = null; // the diagnostics on the screen
  #near = false;

  constructor() {
    const watch = ([entry]) => {
      this.#near = entry.isIntersecting;
      this.#load();
    };
    new IntersectionObserver(watch, { rootMargin: "400px" }).observe($("diagnostics"));
    new ResizeObserver(() => this.#draw()).observe($("diagnostics"));
    $("save-rows").addEventListener("click", () => this.#save());
  }

  /** Show how good this model is, as soon as somebody looks. */
  describe(model) {
    this.#model = model;
    this.#shown = null;
    $("diagnosed").hidden = true;
    this.#say("Loading …");
    this.#load();
  }

  async #load() {
    const model = this.#model;
    if (!this.#near || !model || this.#shown?.version === model.version) return;
    this.#shown = { version: model.version }; // asked once
    try {
      const found = await getDiagnostics();
      if (this.#model === model) this.#show(found);
    } catch (error) {
      this.#say(error.message);
      if (error.status !== 404) this.#shown = null; // asked again when it is seen again
    }
  }

  #say(text) {
    $("diagnostics-state").textContent = text;
  }

  #show(found) {
    this.#shown = { ...found, version: this.#model.version };
    this.#say(METHODS[found.method].explained(found.rows.length));
    $("verdict").replaceChildren(...verdict(found.scores));
    $("relevance").replaceChildren(...relevance(found.relevance));
    $("compared").replaceChildren(...compared(found.scores));
    $("worst").replaceChildren(...worst(found.worst));
    words(found);
    $("diagnosed").hidden = false;
    this.#draw();
  }

  #draw() {
    const { rows, coverage, output_name: output } = this.#shown ?? {};
    if (!rows) return;
    drawPredicted($("predicted-plot"), rows, output);
    drawResiduals($("residuals-plot"), rows, output);
    drawHistogram($("histogram-plot"), rows);
    drawCoverage($("coverage-plot"), coverage, rows.length);
  }

  async #save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await getDiagnosticsTable());
    link.download = `${this.#model.version}-diagnostics.csv`;
    link.click();
  }
}

function node(name, content, properties = {}) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...(Array.isArray(content) ? content : [content]));
  return created;
}

function verdict({ verdict: sentences = [], faults = [] }) {
  return sentences.map((sentence, i) =>
    node("p", sentence, { className: i < faults.length ? "note warn" : "sentence" }),
  );
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** What each plot shows, for those who see it and for those who do not. */
function words({ rows, coverage, method }) {
  const outside = rows.filter((row) => !row.within_95).length;
  const beyond = rows.filter((row) => Math.abs(row.standardised_residual) > WIDEST).length;
  const spread = Math.sqrt(rows.reduce((all, r) => all + r.standardised_residual ** 2, 0) / rows.length);
  const share = (level) => percent(coverage.actual[coverage.nominal.indexOf(level)]);
  const texts = {
    predicted: `Each point is a row, and its line the 95 % interval: ${count(outside)} of ${count(rows.length)} rows (×) are outside. A perfect model has all points on the diagonal.`,
    residuals: `Observed less predicted, over the standard deviation. They should scatter around 0 everywhere, 95 % of them within the band.${beyond ? ` ${count(beyond)} beyond ${WIDEST} are drawn at the edge.` : ""}`,
    histogram: `They should follow the curve. Their spread is ${spread.toFixed(2)}; 1 is right, more means intervals that are too narrow.`,
    coverage: `The 50 % interval contains ${share(0.5)} of the rows, the 95 % interval ${share(0.95)}. Chance alone keeps the line within the band around the diagonal; below it, intervals are too narrow.`,
  };
  texts.worst = `Errors in the data are found here first. Rows count from 0, ${METHODS[method].counted}.`;
  for (const [plot, text] of Object.entries(texts)) $(`${plot}-words`).textContent = text;
}

function relevance(byName) {
  const entries = Object.entries(byName).sort(([, a], [, b]) => b - a);
  const most = Math.max(...entries.map(([, value]) => value));
  return entries.map(([name, value]) =>
    node("tr", [
      node("th", name, { scope: "row" }),
      node("td", barOf(value, most)),
      node("td", plain(value), { className: "figure" }),
    ]),
  );
}

function compared(scores) {
  const methods = Object.keys(METHODS).filter((method) => method in scores);
  const head = node("tr", [
    node("td", ""),
    ...methods.map((method) => node("th", METHODS[method].words, { scope: "col" })),
  ]);
  const columns = methods.map((method) => new Map(scoreLines(scores[method])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const lines = names.map((name) =>
    node("tr", [
      node("th", name, { scope: "row" }),
      ...columns.map((column) => node("td", column.get(name) ?? "–", { className: "figure" })),
    ]),
  );
  return [head, ...lines];
}

function worst(rows) {
  const inputs = Object.keys(rows[0]?.inputs ?? {});
  const titles = ["row", "observed", "predicted", "off by", ...inputs];
  const head = node("tr", titles.map((title) => node("th", title, { scope: "col" })));
  return [head, ...rows.map((row) => node("tr", cells(row, inputs)))];
}

function cells(row, inputs) {
  const decimals = decimalsFor(Math.sqrt(row.variance));
  const whole = (value) => Math.ceil(Math.log10(Math.abs(value) + 1)); // digits before the point
  const given = inputs.map((name) => plain(row.inputs[name], Math.max(6, whole(row.inputs[name]))));
  const texts = [
    String(row.row),
    show(row.observed, decimals),
    show(row.mean, decimals),
    `${show(row.standardised_residual, 1)} σ`,
    ...given,
  ];
  return texts.map((text) => node("td", text));
}

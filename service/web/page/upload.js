// A whole table: a CSV file to the server, and back with the answer, as it streams.

import { sendTable } from "./api.js";
import { BrokenOff, countRecords, receive } from "./csvstream.js";
import { $, hide } from "./dom.js";
import { follow, forgetJob, keepJob, keptJob } from "./job.js";
import { noise } from "./link.js";
import { count } from "./numbers.js";

const RELOAD = "Reload the page: the server keeps the answer of its job.";

export class TablePanel {
  /** @param say (text) tells those who listen instead of look */
  constructor(say) {
    this.say = say;
    this.stop = new AbortController();
    takeFiles((file, more) => this.send(file, more));
    $("cancel").addEventListener("click", () => this.stop.abort());
    const kept = keptJob();
    if (kept) this.#work(kept.name, (signal) => this.#followed(kept.job, kept.name, signal));
  }

  /** Answer a file; one at a time, a new one ends the one before. `more` came with it. */
  send(file, more) {
    $("one-file").hidden = more === 0;
    $("one-file").textContent = oneAtATime(file.name, more);
    return this.#work(file.name, (signal) => this.#answered(file, signal));
  }

  /** Show an answer; `answered` (signal) gives the response whose body it is. */
  async #work(name, answered) {
    this.stop.abort();
    const stop = (this.stop = new AbortController());
    this.#begin();
    try {
      const response = await answered(stop.signal);
      const answer = await receive(response, (rows) => this.#progress(rows), stop.signal);
      await this.counted;
      forgetJob();
      this.#finish(name, answer);
    } catch (error) {
      if (stop === this.stop) this.#failed(error, stop.signal.aborted);
    }
  }

  #begin() {
    forgetJob();
    this.total = 0;
    $("work").hidden = false;
    $("table-problem").hidden = true;
    hide($("done"), $("cancel"));
    $("progress").removeAttribute("value");
  }

  async #answered(file, signal) {
    $("stage").textContent = `Sending ${file.name} (${size(file.size)}), which is checked first …`;
    this.say(`Sending ${file.name}`);
    this.counted = countRecords(file, signal).then((n) => (this.total = n - 1), () => 0);
    const response = await sendTable(file, options(), signal);
    return response.status === 202
      ? this.#followed(await response.json(), file.name, signal)
      : response;
  }

  #followed(job, name, signal) {
    keepJob({ job, name });
    this.say("This takes long: the server computes it as a job");
    return follow(job, (looked) => this.#computed(looked), signal);
  }

  #computed({ points, trouble }) {
    const rows = points
      ? `${count(points.done)} of ${count(points.total)} rows are computed`
      : "waiting for a worker";
    $("stage").textContent = trouble ?? `This takes long; ${rows} …`;
    if (!points) return;
    this.total ||= points.total;
    Object.assign($("progress"), { max: points.total, value: points.done });
  }

  #progress(rows) {
    const { total } = this;
    $("stage").textContent = total
      ? `${count(Math.min(rows, total))} of ${count(total)} rows`
      : `${count(rows)} rows`;
    if (total) Object.assign($("progress"), { max: total, value: Math.min(rows, total) });
  }

  #finish(name, { blob, lines }) {
    $("done").hidden = false;
    URL.revokeObjectURL($("save").href);
    $("save").href = URL.createObjectURL(blob);
    $("save").download = answerName(name);
    $("save").textContent = `Save ${answerName(name)}`;
    const text = summary(lines);
    $("summary").textContent = text;
    $("preview").replaceChildren(preview(lines));
    this.say(text);
    hide($("work"), $("save"));
    $("save").click();
  }

  #failed(error, aborted) {
    hide($("work"), $("file"));
    if (aborted || error.status) forgetJob(); // else the way to the server is at fault: try again
    if (aborted) {
      this.say("Cancelled");
      return;
    }
    $("table-problem").textContent = `${error.message} ${advice(error)}`.trim();
    $("table-problem").hidden = false;
  }
}

function advice(error) {
  if (keptJob()) return RELOAD;
  return error instanceof BrokenOff ? "Send the file again." : "";
}

function options() {
  return {
    extrapolated: true,
    ...(noise() ? {} : { noise: false }),
    ...($("with-interval").checked ? { interval: 0.95 } : {}),
    ...($("spare-rows").checked ? { on_bad_row: "nan" } : {}),
  };
}

/** A cell of the preview: long numbers with six digits. */
const shortened = (cell) => (/^-?\d*\.\d{6,}$/.test(cell) ? Number(cell).toPrecision(6) : cell);

function preview({ header, first }) {
  const table = document.createElement("table");
  const line = (cells, kind) => {
    const row = table.insertRow();
    for (const cell of cells) {
      const made = row.appendChild(document.createElement(kind));
      made.textContent = shortened(cell);
    }
  };
  line(header, "th");
  for (const row of first) line(row, "td");
  return table;
}

const brings = ({ dataTransfer }) => dataTransfer.types.includes("Files");
const mark = (on) => $("drop").classList.toggle("over", on);

/** Call `take` (file, how many more came with it) for each choice and each drop. */
export function takeFiles(take) {
  $("file").addEventListener("change", ({ target }) => {
    takeFirst(target.files, take);
    target.value = "";
  });
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark(false);
    takeFirst(event.dataTransfer.files, take);
  });
}

function takeFirst([first, ...more], take) {
  if (first) take(first, more.length);
}

/** The name under which the answer of a file is saved. */
export const answerName = (name) =>
  `${name.replace(/(\.[a-z]{2,4})?(\.gz)?$/i, "")}-predicted.csv`;

export const size = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** What becomes of several files that came at once. */
export const oneAtATime = (name, more) =>
  `Files are answered one at a time: this is ${name}. ` +
  `Bring the other ${more === 1 ? "one" : count(more)} when it is done.`;

/** How many rows an answer has, and what is special about some. */
export function summary({ rows, outside, bad }) {
  const notes = [
    outside ? `${count(outside)} outside the training range` : "",
    bad ? `${count(bad)} could not be read` : "",
  ].filter(Boolean);
  return `${count(rows)} ${rows === 1 ? "row" : "rows"} answered${notes.length ? `; ${notes.join(", ")}` : ""}.`;
}

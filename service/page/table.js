// A whole table: a CSV file to the server, and back with the answer, as it streams.

import { sendTable } from "./api.js";
import { follow } from "./job.js";
import { count } from "./numbers.js";
import { Lines, countRecords } from "./lines.js";

const $ = (id) => document.getElementById(id);
const PREVIEW_ROWS = 5;

export class TablePanel {
  /** @param say (text) tells those who listen instead of look */
  constructor(say) {
    this.say = say;
    this.stop = new AbortController();
    $("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.send(target.files[0]);
      target.value = "";
    });
    $("cancel").addEventListener("click", () => this.stop.abort());
    addEventListener("dragover", (event) => this.#over(event));
    addEventListener("dragleave", (event) => event.relatedTarget ?? this.#mark(false));
    addEventListener("drop", (event) => this.#dropped(event));
  }

  #mark(on) {
    $("drop").classList.toggle("over", on);
  }

  #over(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#mark(true);
  }

  #dropped(event) {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.#mark(false);
    this.send(event.dataTransfer.files[0]);
  }

  /** Answer a file; one at a time, a new one ends the one before. */
  async send(file) {
    this.stop.abort();
    const stop = (this.stop = new AbortController());
    this.#begin(file);
    try {
      const total = countRecords(file, stop.signal).then((n) => (this.total = n - 1), () => 0);
      const response = await this.#answered(file, stop.signal);
      const answer = await this.#receive(response, stop.signal);
      await total;
      this.#finish(file, answer);
    } catch (error) {
      if (stop === this.stop) this.#failed(error, stop.signal.aborted);
    }
  }

  #begin(file) {
    this.total = 0;
    for (const id of ["table-problem", "done"]) $(id).hidden = true;
    $("work").hidden = false;
    $("progress").removeAttribute("value");
    $("stage").textContent = `Sending ${file.name} (${size(file.size)}), which is checked first …`;
    this.say(`Sending ${file.name}`);
  }

  async #answered(file, signal) {
    const response = await sendTable(file, options(), signal);
    if (response.status !== 202) return response;
    this.say("This takes long: the server computes it as a job");
    return follow(await response.json(), (job) => this.#computed(job), signal);
  }

  #computed({ points, trouble }) {
    const rows = points
      ? `${count(points.done)} of ${count(points.total)} rows are computed`
      : "waiting for a worker";
    $("stage").textContent = trouble ?? `This takes long; ${rows} …`;
    if (points) Object.assign($("progress"), { max: points.total, value: points.done });
  }

  /** Read the answer piece by piece, so that its progress shows and memory can be let go. */
  async #receive(response, signal) {
    const lines = new Lines(PREVIEW_ROWS);
    const pieces = [];
    const reader = response.body.getReader();
    for (let piece; !(piece = await reader.read()).done; ) {
      signal.throwIfAborted();
      pieces.push(piece.value);
      lines.add(piece.value);
      if (pieces.length === 256) pieces.splice(0, 256, new Blob(pieces));
      this.#progress(lines.rows);
    }
    lines.end();
    return { blob: new Blob(pieces, { type: "text/csv" }), lines };
  }

  #progress(rows) {
    const { total } = this;
    $("stage").textContent = total
      ? `${count(Math.min(rows, total))} of ${count(total)} rows`
      : `${count(rows)} rows`;
    if (total) Object.assign($("progress"), { max: total, value: Math.min(rows, total) });
  }

  #finish(file, { blob, lines }) {
    $("work").hidden = true;
    $("done").hidden = false;
    URL.revokeObjectURL($("save").href);
    $("save").href = URL.createObjectURL(blob);
    $("save").download = answerName(file.name);
    $("save").textContent = `Save ${answerName(file.name)}`;
    const text = summary(lines);
    $("summary").textContent = text;
    $("preview").replaceChildren(preview(lines));
    this.say(text);
    $("save").click();
  }

  #failed(error, aborted) {
    $("work").hidden = true;
    if (aborted) {
      this.say("Cancelled");
      return;
    }
    $("table-problem").textContent = error.message;
    $("table-problem").hidden = false;
  }
}

function options() {
  return {
    extrapolated: true,
    ...($("with-interval").checked ? { interval: 0.95 } : {}),
    ...($("spare-rows").checked ? { on_bad_row: "nan" } : {}),
  };
}

const answerName = (name) => `${name.replace(/(\.[a-z]{2,4})?(\.gz)?$/i, "")}-predicted.csv`;

const size = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

function summary({ rows, outside, bad }) {
  const notes = [
    outside ? `${count(outside)} outside the training range` : "",
    bad ? `${count(bad)} could not be read` : "",
  ].filter(Boolean);
  return `${count(rows)} ${rows === 1 ? "row" : "rows"} answered${notes.length ? `; ${notes.join(", ")}` : ""}.`;
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

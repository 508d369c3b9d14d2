// Predicts a whole table: sends a CSV file to the server, and saves the answer while it streams.

import { sendTable } from "./api.js";
import { Interrupted, countRecords, readAnswer } from "./csvstream.js";
import { $, hide } from "./dom.js";
import { follow, forgetJob, rememberJob, rememberedJob } from "./job.js";
import { noise } from "./link.js";
import { count } from "./numbers.js";

const RELOAD = "Reload the page: the server keeps the result of the job.";

export class TablePanel {
  /** @param say (text) announces to screen readers */
  constructor(say) {
    this.say = say;
    this.stop = new AbortController();
    onFiles((file, others) => this.#send(file, others));
    $("cancel").addEventListener("click", () => this.stop.abort());
    const kept = rememberedJob();
    if (kept) this.#work(kept.name, (signal) => this.#followJob(kept.job, kept.name, signal));
  }

  /** Predict a file, and stop the one before; `others` were chosen with it. */
  #send(file, others) {
    $("one-file").hidden = others === 0;
    $("one-file").textContent = oneAtATime(file.name, others);
    this.#work(file.name, (signal) => this.#upload(file, signal));
  }

  /** Show the answer of the response that `request(signal)` returns. */
  async #work(name, request) {
    this.stop.abort();
    const stop = (this.stop = new AbortController());
    this.#begin();
    try {
      const response = await request(stop.signal);
      const answer = await readAnswer(response, (rows) => this.#showRows(rows), stop.signal);
      await this.counted;
      forgetJob();
      this.#finish(name, answer);
    } catch (error) {
      if (stop === this.stop) this.#fail(error, stop.signal.aborted);
    }
  }

  #begin() {
    forgetJob();
    this.total = this.rows = 0;
    $("work").hidden = false;
    $("table-problem").hidden = true;
    hide($("done"), $("cancel"));
    $("progress").removeAttribute("value");
  }

  async #upload(file, signal) {
    $("stage").textContent =
      `Sending ${file.name} (${size(file.size)}); the server checks it first …`;
    this.say(`Sending ${file.name}`);
    this.counted = countRecords(file, signal).then((n) => {
      this.total = n - 1;
      if (this.rows) this.#showRows(this.rows); // which came before the file was counted
    }, () => 0);
    const response = await sendTable(file, options(), signal);
    return response.status === 202
      ? this.#followJob(await response.json(), file.name, signal)
      : response;
  }

  #followJob(job, name, signal) {
    rememberJob({ job, name });
    this.say("This takes a while: the server runs it as a job");
    return follow(job, (status) => this.#showJob(status), signal);
  }

  #showJob({ points, trouble }) {
    const rows = points
      ? `${count(points.done)} of ${count(points.total)} rows are done`
      : "waiting for a worker";
    $("stage").textContent = trouble ?? `This takes a while; ${rows} …`;
    if (!points) return;
    this.total ||= points.total;
    Object.assign($("progress"), { max: points.total, value: points.done });
  }

  #showRows(rows) {
    const { total } = this;
    this.rows = rows;
    $("stage").textContent = total
      ? `${count(Math.min(rows, total))} of ${count(total)} rows`
      : `${count(rows)} rows`;
    if (total) Object.assign($("progress"), { max: total, value: Math.min(rows, total) });
  }

  #finish(name, { blob, rows }) {
    $("done").hidden = false;
    URL.revokeObjectURL($("save").href);
    $("save").href = URL.createObjectURL(blob);
    $("save").download = answerName(name);
    $("save").textContent = `Save ${answerName(name)}`;
    $("summary").textContent = summary(rows);
    $("preview").replaceChildren(preview(rows));
    this.say(summary(rows));
    hide($("work"), $("save"));
    $("save").click();
  }

  #fail(error, aborted) {
    hide($("work"), $("file"));
    // Without a status the connection failed, and the job goes on.
    if (aborted || error.status) forgetJob();
    if (aborted) {
      this.say("Cancelled");
      return;
    }
    $("table-problem").textContent = `${error.message} ${advice(error)}`.trim();
    $("table-problem").hidden = false;
  }
}

function advice(error) {
  if (rememberedJob()) return RELOAD;
  return error instanceof Interrupted ? "Send the file again." : "";
}

/** The options of the API that the person has chosen. */
function options() {
  return {
    extrapolated: true,
    ...(noise() ? {} : { noise: false }),
    ...($("with-interval").checked ? { interval: 0.95 } : {}),
    ...($("allow-bad-rows").checked ? { on_bad_row: "nan" } : {}),
  };
}

const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");
const highlight = (on) => $("drop").classList.toggle("over", on);

/** Call `use(file, number of others)` for files chosen in the field or dropped anywhere. */
function onFiles(use) {
  $("file").addEventListener("change", ({ target }) => {
    useFirst(target.files, use);
    target.value = "";
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    highlight(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? highlight(false));
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    highlight(false);
    useFirst(event.dataTransfer.files, use);
  });
}

function useFirst([first, ...others], use) {
  if (first) use(first, others.length);
}

/** The name of the file in which the answer is saved. */
const answerName = (name) => `${name.replace(/(\.[a-z]{2,4})?(\.gz)?$/i, "")}-predicted.csv`;

const size = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

const oneAtATime = (name, others) =>
  `One file at a time: this is ${name}. ` +
  `Add the other ${others === 1 ? "one" : count(others)} when it is done.`;

/** How many rows an answer has, and how many of them are outside the training range or bad. */
function summary({ total, outside, bad }) {
  const notes = [
    outside ? `${count(outside)} outside the training range` : "",
    bad ? `${count(bad)} could not be read` : "",
  ].filter(Boolean);
  const rows = `${count(total)} ${total === 1 ? "row" : "rows"} done`;
  return `${rows}${notes.length ? `; ${notes.join(", ")}` : ""}.`;
}

/** Shorten the numbers of the preview to six digits. */
function shortened(cell) {
  const [, sign] = /^-?\d*([.,])\d{6,}$/.exec(cell) ?? [];
  return sign ? Number(cell.replace(sign, ".")).toPrecision(6).replace(".", sign) : cell;
}

function preview({ header, first }) {
  const table = document.createElement("table");
  const addRow = (cells, kind) => {
    const row = table.insertRow();
    for (const cell of cells) {
      row.appendChild(document.createElement(kind)).textContent = shortened(cell);
    }
  };
  addRow(header, "th");
  for (const row of first) addRow(row, "td");
  return table;
}

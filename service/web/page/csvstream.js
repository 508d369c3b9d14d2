// Reads CSV piece by piece as it streams: the rows of an answer, and how many records a file has.

import { count } from "./numbers.js";

const PREVIEW_ROWS = 5;
const MOST_PIECES = 256;

/** The connection was lost in the middle of an answer; the browser says only "network error". */
export class Interrupted extends Error {
  constructor(rows) {
    const after = `${count(rows)} ${rows === 1 ? "row" : "rows"}`;
    super(`The connection was lost after ${after} of the answer.`);
  }
}

/**
 * Read an answer to its end: {blob, rows}, where `rows` are `AnswerRows`.
 * @param onRows (rows so far) => void, after every piece
 */
export async function readAnswer(response, onRows, signal) {
  const rows = new AnswerRows();
  const pieces = [];
  const reader = response.body.getReader();
  for (let piece; !(piece = await nextPiece(reader, rows, signal)).done; ) {
    signal.throwIfAborted();
    rows.add(piece.value);
    pieces.push(piece.value);
    // A browser may keep a blob on disk, unlike the pieces.
    if (pieces.length === MOST_PIECES) pieces.splice(0, MOST_PIECES, new Blob(pieces));
    onRows(rows.total);
  }
  rows.end();
  return { blob: new Blob(pieces, { type: "text/csv" }), rows };
}

async function nextPiece(reader, rows, signal) {
  try {
    return await reader.read();
  } catch (error) {
    throw signal.aborted ? error : new Interrupted(rows.total);
  }
}

/**
 * The `header` of an answer, its `first` rows, and how many there are: in `total`, `outside` the
 * training range, and `bad` ones that the server could not read.
 */
class AnswerRows {
  total = 0;
  outside = 0;
  bad = 0;
  header = null;
  first = [];
  #decoder = new TextDecoder();
  #line = ""; // the beginning of a line whose end has not arrived
  #record = ""; // the lines of a record so far, while a quoted cell has newlines

  add(bytes) {
    const lines = (this.#line + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#line = lines.pop();
    for (const line of lines) this.#addLine(line);
  }

  end() {
    if (this.#line) this.#addLine(this.#line);
    this.#line = "";
  }

  #addLine(line) {
    const continues = hasOddQuotes(line) !== (this.#record !== "");
    const record = this.#record + line;
    this.#record = continues ? `${record}\n` : "";
    if (continues) return;
    if (this.header) this.#addRow(record);
    else this.#setHeader(record);
  }

  #setHeader(record) {
    this.delimiter = delimiterOf(record);
    this.header = cells(record, this.delimiter);
    // The table may have a column "error" of its own, unless the server adds one at the end.
    this.extrapolated = this.header.indexOf("extrapolated");
    this.error = this.header.indexOf("error", this.extrapolated + 1);
  }

  #addRow(record) {
    const row = cells(record, this.delimiter);
    if (this.first.length < PREVIEW_ROWS) this.first.push(row);
    this.total += 1;
    if (row[this.extrapolated] === "true") this.outside += 1;
    if (row[this.error]) this.bad += 1;
  }
}

const hasOddQuotes = (line) => line.includes('"') && line.split('"').length % 2 === 0;

/** The delimiter is found before the server's own columns, since the table's may hold any sign. */
const delimiterOf = (header) => /(.)extrapolated(?:\1error)?$/.exec(header)?.[1] ?? ",";

function cells(record, delimiter) {
  if (!record.includes('"')) return record.split(delimiter);
  const cell = new RegExp(`("(?:[^"]|"")*"|[^${delimiter}]*)(${delimiter}|$)`, "g");
  const found = [];
  for (const [, text, end] of record.matchAll(cell)) {
    found.push(text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text);
    if (!end) break;
  }
  return found;
}

/** Count the records of a file and its header; a file whose name ends with .gz is decompressed. */
export async function countRecords(file, signal) {
  const stream = file.stream();
  const gzipped = file.name.endsWith(".gz");
  const text = gzipped ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  const reader = text.getReader();
  const counter = new RecordCounter();
  for (let piece; !(piece = await reader.read()).done; ) {
    signal.throwIfAborted();
    counter.add(piece.value);
  }
  const saysDelimiter = /^"?sep=[;,\t]"?\r?\n/.test(await file.slice(0, 16).text());
  return counter.end() - (saysDelimiter ? 1 : 0);
}

const [NEWLINE, RETURN, QUOTE] = [10, 13, 34];
const BEFORE_QUOTED_CELL = new Set([...'\n,;\t"'].map((sign) => sign.charCodeAt(0)));

/** Counts as the server reads: a quote opens a cell only at its start; empty lines do not count. */
class RecordCounter {
  records = 0;
  quoted = false;
  before = NEWLINE;

  add(bytes) {
    let { records, quoted, before } = this; // local variables are faster
    for (let i = 0; i < bytes.length; i += 1) {
      const byte = bytes[i];
      if (byte === RETURN) continue;
      const toggles = byte === QUOTE && (quoted || BEFORE_QUOTED_CELL.has(before));
      if (toggles) quoted = !quoted;
      if (byte === NEWLINE && before !== NEWLINE && !quoted) records += 1;
      before = byte === QUOTE && !toggles ? 0 : byte;
    }
    Object.assign(this, { records, quoted, before });
  }

  end() {
    return this.records + (this.before === NEWLINE ? 0 : 1);
  }
}

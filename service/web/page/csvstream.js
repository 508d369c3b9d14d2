// CSV as it streams: the records of a file, and the rows of an answer.

import { count } from "./numbers.js";

const [NEWLINE, RETURN, QUOTE] = [10, 13, 34];
const BEFORE_A_QUOTE = new Set([...'\n,;\t"'].map((sign) => sign.charCodeAt(0)));

/** Counts the rows of an answer and those that it marks, below its header. */
export class Lines {
  #decoder = new TextDecoder();
  #rest = "";
  #open = ""; // the lines of a record whose quoted cell goes on

  constructor(keep) {
    Object.assign(this, { keep, first: [], rows: 0, outside: 0, bad: 0 });
  }

  add(bytes) {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  end() {
    if (this.#rest) this.#line(this.#rest);
    this.#rest = "";
  }

  #line(line) {
    const goesOn = splitsQuotes(line) !== (this.#open !== "");
    const record = this.#open + line;
    this.#open = goesOn ? `${record}\n` : "";
    if (goesOn) return;
    if (this.header) this.#row(record);
    else this.#head(record);
  }

  #head(record) {
    this.delimiter = delimiterOf(record);
    this.header = cells(record, this.delimiter);
    // The server's marks are the last columns: the table's own may have the same names.
    this.mark = this.header.lastIndexOf("extrapolated");
    this.reason = this.header.indexOf("error", this.mark + 1);
  }

  #row(record) {
    const row = cells(record, this.delimiter);
    if (this.first.length < this.keep) this.first.push(row);
    this.rows += 1;
    if (row[this.mark] === "true") this.outside += 1;
    if (row[this.reason]) this.bad += 1;
  }
}

const splitsQuotes = (line) => line.includes('"') && line.split('"').length % 2 === 0;

/** An answer's delimiter: it stands before the server's marks, whatever the table's columns hold. */
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

/** The records of a file, gunzipped when its name says so. */
export async function countRecords(file, signal) {
  const plain = file.stream();
  const gunzipped = file.name.endsWith(".gz") ? plain.pipeThrough(new DecompressionStream("gzip")) : plain;
  const reader = gunzipped.getReader();
  const count = new RecordCount();
  for (let piece; !(piece = await reader.read()).done; ) {
    signal.throwIfAborted();
    count.add(piece.value);
  }
  return count.end();
}

/** As the server reads: a quote opens a cell only at its start, and an empty line is no record. */
class RecordCount {
  records = 0;
  quoted = false;
  before = NEWLINE;

  add(bytes) {
    let { records, quoted, before } = this; // a table has many bytes, and locals are quick
    for (let i = 0; i < bytes.length; i += 1) {
      const byte = bytes[i];
      if (byte === RETURN) continue;
      const opens = byte === QUOTE && (quoted || BEFORE_A_QUOTE.has(before));
      if (opens) quoted = !quoted;
      if (byte === NEWLINE && before !== NEWLINE && !quoted) records += 1;
      before = byte === QUOTE && !opens ? 0 : byte;
    }
    Object.assign(this, { records, quoted, before });
  }

  end() {
    return this.records + (this.before === NEWLINE ? 0 : 1);
  }
}

const PREVIEW_ROWS = 5;

/** An answer that ended before its end; the reader's own error says "network error" only. */
export class BrokenOff extends Error {
  constructor(rows) {
    const after = `${count(rows)} ${rows === 1 ? "row" : "rows"}`;
    super(`The answer broke off after ${after}, as the connection was lost.`);
  }
}

/**
 * Read an answer piece by piece, so that its progress shows and memory can be let go.
 * @param tell (rows) => void, after every piece
 */
export async function receive(response, tell, signal) {
  const lines = new Lines(PREVIEW_ROWS);
  const pieces = [];
  const reader = response.body.getReader();
  for (let piece; !(piece = await next(reader, lines, signal)).done; ) {
    signal.throwIfAborted();
    pieces.push(piece.value);
    lines.add(piece.value);
    if (pieces.length === 256) pieces.splice(0, 256, new Blob(pieces));
    tell(lines.rows);
  }
  lines.end();
  return { blob: new Blob(pieces, { type: "text/csv" }), lines };
}

async function next(reader, { rows }, signal) {
  try {
    return await reader.read();
  } catch (error) {
    throw signal.aborted ? error : new BrokenOff(rows);
  }
}

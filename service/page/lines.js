// Lines of CSV: counted as they pass, the first few kept.

const NEWLINE = 10;

/** Counts the rows of an answer and those that it marks, below its header. */
export class Lines {
  #decoder = new TextDecoder();
  #rest = "";

  constructor(keep) {
    Object.assign(this, { keep, first: [], rows: -1, outside: 0, bad: 0 });
  }

  add(bytes) {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  end() {
    if (this.#rest) this.#line(this.#rest);
    this.#rest = "";
    if (this.rows < 0) this.rows = 0;
  }

  #line(line) {
    if (this.first.length < this.keep) this.first.push(line);
    this.rows += 1;
    // Last is `extrapolated`, or `extrapolated` and the reason why a row is bad.
    const [, outside, reason] = /(true|false)(?:[,;\t](.*))?$/.exec(line) ?? [];
    if (outside === "true") this.outside += 1;
    if (reason) this.bad += 1;
  }
}

/** The lines of a file, gunzipped when its name says so. */
export async function countLines(file, signal) {
  const plain = file.stream();
  const gunzipped = file.name.endsWith(".gz") ? plain.pipeThrough(new DecompressionStream("gzip")) : plain;
  const reader = gunzipped.getReader();
  let lines = 0;
  let last = NEWLINE;
  for (let piece; !(piece = await reader.read()).done; ) {
    signal.throwIfAborted();
    for (let i = -1; (i = piece.value.indexOf(NEWLINE, i + 1)) >= 0; ) lines += 1;
    last = piece.value.at(-1);
  }
  return lines + (last === NEWLINE ? 0 : 1);
}

/** The cells of a few lines; the delimiter is the one that the header has most of. */
export function parse(lines) {
  const many = (d) => lines[0].split(d).length;
  const delimiter = [",", ";", "\t"].sort((a, b) => many(b) - many(a))[0];
  const cell = new RegExp(`("(?:[^"]|"")*"|[^${delimiter}]*)(${delimiter}|$)`, "g");
  return lines.map((line) => {
    const cells = [];
    for (const [, text, end] of line.trimEnd().matchAll(cell)) {
      cells.push(text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text);
      if (!end) break;
    }
    return cells;
  });
}

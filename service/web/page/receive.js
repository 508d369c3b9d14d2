// The body of a table's answer, as it streams.

import { Lines } from "./lines.js";
import { count } from "./numbers.js";

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

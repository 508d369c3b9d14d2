// What is said of a table and its answer.

import { count } from "./numbers.js";

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

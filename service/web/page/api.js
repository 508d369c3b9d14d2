// The service's API: every answer or the reason why there is none.

/**
 * What the server, or the way to it, says is wrong: `status`, 0 when no answer came, and
 * `retryAfter` in seconds when it will pass.
 */
export class Refused extends Error {
  constructor(detail, status, retryAfter) {
    super(detail);
    Object.assign(this, { status, retryAfter });
  }
}

const UNREACHED = "The server does not answer. Is it running, and are you connected?";

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `The server answered ${response.status} ${response.statusText}.`;
  return new Refused(detail, response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** fetch, with a `Refused` for whatever goes wrong; addresses are relative to the page. */
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted && error.name === "AbortError") throw error;
    throw new Refused(UNREACHED, 0, 2);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** What is served: GET /model. */
export async function getModel() {
  return (await ask("model", { cache: "no-cache" })).json();
}

/** Mean and 95 % band at points: {mean, lower, upper, ..., version}, arrays. */
export async function predict(points, noise) {
  const response = await ask("predict", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ points, interval: 0.95, ...(noise ? {} : { noise: false }) }),
    signal: AbortSignal.timeout(20_000),
  });
  return { ...(await response.json()), version: response.headers.get("X-Model-Version") };
}

/** Send a CSV file; the response whose body is the CSV with the answer, or 202 with a job. */
export function sendTable(file, options, signal) {
  // A day, so that only the server's own limit makes a job of what would take longer.
  const headers = { "Content-Type": "text/csv", Accept: "text/csv", Prefer: "wait=86400" };
  if (file.name.endsWith(".gz")) headers["Content-Encoding"] = "gzip";
  return ask(`predict?${new URLSearchParams(options)}`, {
    method: "POST",
    headers,
    body: file,
    signal,
  });
}

/** A job's document. */
export async function getJob(id, signal) {
  return (await ask(`jobs/${id}`, { signal })).json();
}

/** The response whose body is the CSV of a job; the reason why there is none is the job's. */
export function getResults(id, signal) {
  return ask(`jobs/${id}/results`, { headers: { Accept: "text/csv" }, signal });
}

/** Cancel a job; one that cannot be cancelled goes on, and nobody waits for it. */
export function dismissJob(id) {
  ask(`jobs/${id}`, { method: "DELETE" }).catch(() => {});
}

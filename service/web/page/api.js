// Requests to the service's API. Each returns what the server answers, or throws an `ApiError`.

/**
 * Why a request failed: `status` is 0 when no response came, and `retryAfter` is in seconds, 0
 * when trying again is pointless.
 */
export class ApiError extends Error {
  constructor(detail, status, retryAfter) {
    super(detail);
    Object.assign(this, { status, retryAfter });
  }
}

const UNREACHABLE = "The server cannot be reached. Is it running, and are you connected?";

async function errorOf(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `The server answered ${response.status} ${response.statusText}.`;
  return new ApiError(detail, response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** `fetch` that throws an `ApiError` for every failure; addresses are relative to the page. */
async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted && error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, 0, 2);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** The description of the model that is served. */
export async function getModel() {
  return (await request("model", { cache: "no-cache" })).json();
}

/** How good the model is, by rows that it has not seen. */
export async function getDiagnostics() {
  return (await request("model/diagnostics", { cache: "no-cache" })).json();
}

/** The same rows as a CSV file. */
export async function getDiagnosticsTable() {
  return (await request("model/diagnostics", { headers: { Accept: "text/csv" } })).blob();
}

/** The arrays {mean, lower, upper, variance} at points, and the `version` of the model. */
export async function predict(points, noise) {
  const response = await request("predict", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ points, interval: 0.95, ...(noise ? {} : { noise: false }) }),
    signal: AbortSignal.timeout(20_000),
  });
  return { ...(await response.json()), version: response.headers.get("X-Model-Version") };
}

/** Send a CSV file; the body of the response is the CSV with predictions, or a job if it is 202. */
export function sendTable(file, options, signal) {
  // The page can wait for a day, so only the server's own limit turns a long table into a job.
  const headers = { "Content-Type": "text/csv", Accept: "text/csv", Prefer: "wait=86400" };
  if (file.name.endsWith(".gz")) headers["Content-Encoding"] = "gzip";
  return request(`predict?${new URLSearchParams(options)}`, {
    method: "POST",
    headers,
    body: file,
    signal,
  });
}

/** The status document of a job. */
export async function getJob(id, signal) {
  return (await request(`jobs/${id}`, { signal })).json();
}

/** The response whose body is the CSV of a job; the error says why a job has no result. */
export function getResults(id, signal) {
  return request(`jobs/${id}/results`, { headers: { Accept: "text/csv" }, signal });
}

/** Cancel a job, and do not wait; a job that can no longer be cancelled goes on. */
export function cancelJob(id) {
  request(`jobs/${id}`, { method: "DELETE" }).catch(() => {});
}

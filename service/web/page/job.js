// Follows the job that the server makes of a table which takes too long for one request.

import { cancelJob, getJob, getResults } from "./api.js";

const PAUSE = 1000; // ms between two requests for the status
const UNFINISHED = ["accepted", "running"];
const KEY = "gpserve-job";

/**
 * Follow a job until it ends, and return the response whose body is its result.
 * @param onStatus (job) => void, after every request for the status; a failed one sets `trouble`
 */
export async function follow(job, onStatus, signal) {
  try {
    while (UNFINISHED.includes(job.status)) {
      onStatus(job);
      await pause(signal);
      job = await statusOf(job, signal);
    }
  } catch (error) {
    if (signal.aborted) cancelJob(job.jobID);
    throw error;
  }
  return getResults(job.jobID, signal);
}

/** A temporary failure is no reason to give up, since the job goes on without the page. */
async function statusOf(job, signal) {
  try {
    return await getJob(job.jobID, signal);
  } catch (error) {
    const temporary = error.status === 0 || error.status >= 500;
    if (!temporary) throw error;
    return { ...job, trouble: error.message };
  }
}

function pause(signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, PAUSE);
  });
}

/**
 * Remember a job's document and the name of its file until `forgetJob`, also when the tab is
 * reloaded: a phone reloads a page that was in the background.
 */
export const rememberJob = (kept) => inStorage((store) => store.setItem(KEY, JSON.stringify(kept)));

/** The {job, name} that `rememberJob` was given, or null. */
export const rememberedJob = () => inStorage((store) => JSON.parse(store.getItem(KEY)));

export const forgetJob = () => inStorage((store) => store.removeItem(KEY));

/** A browser may refuse storage to the page; then nothing is remembered. */
function inStorage(use) {
  try {
    return use(sessionStorage) ?? null;
  } catch {
    return null;
  }
}

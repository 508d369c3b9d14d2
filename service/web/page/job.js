// A table that takes longer than one request may: the server has made a job of it.

import { dismissJob, getJob, getResults } from "./api.js";

const PAUSE = 1000; // ms between two looks at the job
const OPEN = ["accepted", "running"];

/**
 * Follow a job to its end; the response whose body is its answer.
 * @param tell (job) => void, after every look; with `trouble` when the look failed
 */
export async function follow(job, tell, signal) {
  try {
    while (OPEN.includes(job.status)) {
      tell(job);
      await pause(signal);
      job = await lookAt(job, signal);
    }
  } catch (error) {
    if (signal.aborted) dismissJob(job.jobID);
    throw error;
  }
  return getResults(job.jobID, signal);
}

/** The job goes on without us, so what will pass is no reason to let go of it. */
async function lookAt(job, signal) {
  try {
    return await getJob(job.jobID, signal);
  } catch (error) {
    const passes = error.status === 0 || error.status >= 500;
    if (!passes) throw error;
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

const KEY = "gpserve-job";

/** What `keepJob` kept, {job, name}; null when there is none. */
export const keptJob = () => stored((storage) => JSON.parse(storage.getItem(KEY)));

/** Keep a job's document, and the name of the file it answers. */
export const keepJob = (kept) => stored((storage) => storage.setItem(KEY, JSON.stringify(kept)));

export const forgetJob = () => stored((storage) => storage.removeItem(KEY));

/** A browser may forbid storage; then a reload forgets. */
function stored(use) {
  try {
    return use(sessionStorage) ?? null;
  } catch {
    return null;
  }
}

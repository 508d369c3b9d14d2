// The job that this tab follows, kept through a reload: a phone reloads a page it has put aside.

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

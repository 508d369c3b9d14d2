// Where a file comes from: chosen in the field, or dropped anywhere on the page.

const $ = (id) => document.getElementById(id);
const brings = ({ dataTransfer }) => dataTransfer.types.includes("Files");
const mark = (on) => $("drop").classList.toggle("over", on);

/** Call `take` (file, how many more came with it) for each choice and each drop. */
export function takeFiles(take) {
  $("file").addEventListener("change", ({ target }) => {
    takeFirst(target.files, take);
    target.value = "";
  });
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    mark(false);
    takeFirst(event.dataTransfer.files, take);
  });
}

function takeFirst([first, ...more], take) {
  if (first) take(first, more.length);
}

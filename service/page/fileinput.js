// Where a file comes from: chosen in the field, or dropped anywhere on the page.

const $ = (id) => document.getElementById(id);
const brings = ({ dataTransfer }) => dataTransfer.types.includes("Files");
const mark = (on) => $("drop").classList.toggle("over", on);

/** Call `take` (file) for each file that comes. */
export function takeFiles(take) {
  $("file").addEventListener("change", ({ target }) => {
    if (target.files.length) take(target.files[0]);
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
    take(event.dataTransfer.files[0]);
  });
}

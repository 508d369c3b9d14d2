// Elements of the page.

export const $ = (id) => document.getElementById(id);

/** Hide an element; a focus within it goes to `next`. */
export function hide(element, next) {
  const lost = element.contains(document.activeElement);
  element.hidden = true;
  if (lost) next.focus();
}

// Where the focus goes when its element vanishes: a browser would start over at the page's top.

/** Hide an element; a focus within it goes to `next`. */
export function hide(element, next) {
  const lost = element.contains(document.activeElement);
  element.hidden = true;
  if (lost) next.focus();
}

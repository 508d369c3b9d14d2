// Finds and hides elements of the page.

/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/**
 * Hide an element. If the focus is within it, the focus moves to `next`: the browser would start
 * over at the top of the page.
 */
export function hide(element, next) {
  const hadFocus = element.contains(document.activeElement);
  element.hidden = true;
  if (hadFocus) next.focus();
}

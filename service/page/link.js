// The point in the page's address, so that it can be shared, and as a curl command.

const encode = (text) => encodeURIComponent(text).replaceAll("'", "%27");

const pairs = (names, point) => names.map((name, j) => `${encode(name)}=${encode(String(point[j]))}`);

/** The command that asks for what the page shows. */
export function curl(names, point, noise) {
  const options = ["interval=0.95", ...(noise ? [] : ["noise=false"])];
  const query = [...pairs(names, point), ...options].join("&");
  return `curl '${new URL("predict", document.baseURI)}?${query}'`;
}

/** Show a command in an element, with line breaks where its parts begin. */
export function showCommand(element, command) {
  const parts = command.split(/(?<=[&?])/);
  element.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
}

/** Keep the point in the address. */
export function remember(names, point) {
  history.replaceState(null, "", `#${pairs(names, point).join("&")}`);
}

/** The values of the address by feature name; only numbers. */
export function remembered() {
  const given = [...new URLSearchParams(location.hash.slice(1))];
  return new Map(given.map(([k, v]) => [k, parseFloat(v)]).filter(([, v]) => Number.isFinite(v)));
}

/** Copy an element's text; also where the browser hides its clipboard, as on plain http. */
export async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
  } catch {
    getSelection().selectAllChildren(element);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
}

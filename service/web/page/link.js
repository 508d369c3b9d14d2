// What is asked, in the page's address, so that it can be shared, and as a curl command.

import { read } from "./numbers.js";

const radios = () => [...document.querySelectorAll("[name=band]")];

/** Whether the band counts the noise, as the API's option of this name does. */
export const noise = () => radios().find((radio) => radio.checked).value === "observation";

export function setNoise(on) {
  for (const radio of radios()) radio.checked = (radio.value === "observation") === on;
}

/** Call `changed` after every choice of the person. */
export function onChoice(changed) {
  for (const radio of radios()) radio.addEventListener("change", changed);
}

const encode = (text) => encodeURIComponent(text).replaceAll("'", "%27");

const pairs = (names, point) => names.map((name, j) => `${encode(name)}=${encode(String(point[j]))}`);

// As in the API, where no feature may have this name; without it the noise counts.
const WITHOUT_NOISE = "noise=false";

/** The command that asks for what the page shows. */
export function curl(names, point, noise) {
  const options = ["interval=0.95", ...(noise ? [] : [WITHOUT_NOISE])];
  const query = [...pairs(names, point), ...options].join("&");
  return `curl '${new URL("predict", document.baseURI)}?${query}'`;
}

/** Show a command in an element, with line breaks where its parts begin. */
export function showCommand(element, command) {
  const parts = command.split(/(?<=[&?])/);
  element.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
}

/** Keep the point and whether its band counts the noise in the address. */
export function remember(names, point, noise) {
  const parts = [...pairs(names, point), ...(noise ? [] : [WITHOUT_NOISE])];
  history.replaceState(null, "", `#${parts.join("&")}`);
}

/** What the address holds: `values` by feature name, only numbers, and the `noise`. */
export function remembered() {
  const given = new URLSearchParams(location.hash.slice(1));
  const numbers = [...given].map(([name, text]) => [name, read(text)]);
  const values = new Map(numbers.filter(([, value]) => !Number.isNaN(value)));
  return { values, noise: given.get("noise") !== "false" };
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

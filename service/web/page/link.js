// Keeps what is asked, the point and the band, in the page's address, so that it can be shared, and
// shows it as a curl command.

// The name of the option in the API, which no feature may have. The default is `true`.
const WITHOUT_NOISE = "noise=false";

const radios = () => [...document.querySelectorAll("[name=band]")];

/** Whether the chosen band includes the noise of observations. */
export const noise = () => radios().find((radio) => radio.checked).value === "observation";

function setNoise(on) {
  for (const radio of radios()) radio.checked = (radio.value === "observation") === on;
}

/** Call `changed` when the person chooses the other band. */
export function onBandChange(changed) {
  for (const radio of radios()) radio.addEventListener("change", changed);
}

const encode = (text) => encodeURIComponent(text).replaceAll("'", "%27");

const pairs = (names, point) => names.map((name, j) => `${encode(name)}=${encode(String(point[j]))}`);

/** The command that asks for what the page shows. */
export function curl(names, point) {
  const options = ["interval=0.95", ...(noise() ? [] : [WITHOUT_NOISE])];
  const query = [...pairs(names, point), ...options].join("&");
  return `curl '${new URL("predict", document.baseURI)}?${query}'`;
}

/** Show a command in an element, with line breaks between its parts. */
export function showCommand(element, command) {
  const parts = command.split(/(?<=[&?])/);
  element.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
}

/** Write the point and the chosen band to the address. */
export function writeAddress(names, point) {
  const parts = [...pairs(names, point), ...(noise() ? [] : [WITHOUT_NOISE])];
  history.replaceState(null, "", `#${parts.join("&")}`);
}

/** Choose the band of the address, and return the text of its values by feature name. */
export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  setNoise(given.get("noise") !== "false");
  return new Map(given);
}

/** Copy an element's text, also where the browser offers no clipboard, as on plain HTTP. */
export async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
  } catch {
    getSelection().selectAllChildren(element);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
}

// Whose 95 % the band holds: that of new observations, or of the true mean, without noise.

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

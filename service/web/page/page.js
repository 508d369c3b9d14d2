// The page: what the person sets, what the model says.

import * as api from "./api.js";
import { OutputAxis, drawGauge } from "./chart.js";
import { cut, extent, lines, pointsOf } from "./curves.js";
import { describe, exampleTable, listed } from "./describe.js";
import { $ } from "./dom.js";
import { Inputs } from "./features.js";
import { Latest } from "./latest.js";
import { copy, curl, noise, onChoice, remember, remembered, setNoise, showCommand } from "./link.js";
import { decimalsFor, show } from "./numbers.js";
import { TablePanel } from "./upload.js";

const UNUSABLE = 422; // the status of a question that the model has no use for
const FOLLOWED = 2000; // ms until all of the server's processes serve a new version
const SETTLED = 600; // ms without a change until the axis fits anew and the answer is said

let model;
let axis = new OutputAxis();
let shown = null; // the answer on the screen and its question
let settling = 0;
let looking = 0;

const names = () => model.feature_names;

const inputs = new Inputs(changed);

function say(text) {
  $("say").textContent = text;
}

// An element of its own, so that neither silences the other.
function sayOfTable(text) {
  $("say-table").textContent = text;
}

const latest = new Latest(
  async ({ at, noise }) => {
    const along = lines(at, Object.values(model.training_range));
    const answer = await api.predict(pointsOf(at, along), noise);
    return { ...cut(answer, along), version: answer.version };
  },
  showAnswer,
  showProblem,
);

function changed() {
  const at = inputs.point;
  $("outside").hidden = true;
  if (at.some(Number.isNaN)) {
    latest.drop();
    $("result").classList.add("stale");
    return;
  }
  showOutside();
  remember(names(), at, noise());
  showCommand($("curl"), curl(names(), at, noise()));
  latest.put({ at, noise: noise() });
}

function showOutside() {
  const { outside } = inputs;
  $("outside").hidden = outside.length === 0;
  $("outside").textContent = `Outside the training range in ${listed(outside)}: the model is guessing.`;
}

function showAnswer(answer, { at }) {
  if (answer.version !== model.version) load();
  axis.include(extent(answer));
  shown = { answer, at };
  $("problem").hidden = true;
  $("result").classList.remove("stale");
  showNumbers(answer);
  draw();
  clearTimeout(settling);
  settling = setTimeout(settle, SETTLED);
}

function showNumbers({ mean, lower, upper, variance }) {
  const deviation = Math.sqrt(variance);
  const decimals = decimalsFor(upper - lower);
  for (const [id, value] of Object.entries({ mean, lower, upper, deviation })) {
    $(id).value = value;
    $(id).textContent = show(value, decimals);
  }
}

function draw() {
  if (!shown) return;
  const { answer, at } = shown;
  drawGauge($("gauge"), answer, axis);
  inputs.draw(answer, at, axis);
}

function settle() {
  if (axis.settle(extent(shown.answer))) draw();
  const text = (id) => $(id).textContent;
  const warning = $("outside").hidden ? "" : ` ${text("outside")}`;
  say(`${text("output")} ${text("mean")}, 95 % between ${text("lower")} and ${text("upper")}.${warning}`);
}

function showProblem(error) {
  $("result").classList.add("stale");
  $("problem").textContent = error.message;
  $("problem").hidden = false;
  if (error.status === UNUSABLE) lookAgain();
}

// The inputs may be those of an older model. Twice, as the first may ask a process that is behind.
function lookAgain() {
  look();
  clearTimeout(looking);
  looking = setTimeout(look, FOLLOWED);
}

async function look() {
  const served = await api.getModel().catch(() => model);
  if (served.version !== model.version) setUp(served);
}

async function load() {
  try {
    const served = await api.getModel();
    if (model?.version !== served.version) setUp(served);
  } catch (error) {
    $("lead").textContent = error.message;
    setTimeout(load, 3000);
  }
}

function setUp(served) {
  const given = model ? inputs.values : linked();
  if (model) say(`The model is now version ${served.version}.`);
  latest.drop(); // an answer on its way has the old model's shape
  model = served;
  axis = new OutputAxis();
  shown = null;
  describe(model);
  inputs.become(model, given);
  $("main").hidden = false;
  $("example").href = URL.createObjectURL(exampleTable(model));
  changed();
}

function reset() {
  inputs.reset();
  changed();
}

/** Go where a link leads that is opened in this tab. */
function visit() {
  if (!model) return; // it is read once there is one
  inputs.set(linked());
  changed();
}

/** The values of the address, whose band is chosen. */
function linked() {
  const { values, noise } = remembered();
  setNoise(noise);
  return values;
}

async function copyCommand() {
  await copy($("curl"));
  $("copy").textContent = "Copied";
  say("Copied");
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

$("middle").addEventListener("click", reset);
$("copy").addEventListener("click", copyCommand);
onChoice(changed);
addEventListener("hashchange", visit);
new ResizeObserver(draw).observe($("main"));
new TablePanel(sayOfTable);
load();

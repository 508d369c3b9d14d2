// Connects the inputs, the model's answer and the rest of the page. The browser starts here.

import { getModel, predict } from "./api.js";
import { OutputAxis, drawGauge } from "./chart.js";
import { extent, lines, pointsOf, split } from "./curves.js";
import { describe, exampleTable, listed } from "./describe.js";
import { DiagnosticsPanel } from "./diagnostics.js";
import { $ } from "./dom.js";
import { Inputs } from "./features.js";
import { Latest } from "./latest.js";
import { copy, curl, noise, onBandChange, readAddress, showCommand, writeAddress } from "./link.js";
import { decimalsFor, show } from "./numbers.js";
import { TablePanel } from "./upload.js";

const UNPROCESSABLE = 422; // the status of a question that does not fit the model
const ALL_UPDATED = 2000; // ms until all processes of the server have a new version
const SETTLED = 600; // ms without a change until the axis shrinks and the answer is announced
const RETRY = 3000; // ms until the model is requested again

let model;
let axis = new OutputAxis();
let shown = null; // the {answer, point} on the screen
let settling = 0;
let rechecking = 0;

const inputs = new Inputs(changed);
const diagnostics = new DiagnosticsPanel();
const latest = new Latest(ask, showAnswer, showProblem);

function say(text) {
  $("say").textContent = text;
}

/** Announce news of the table in an element of its own, so that neither text replaces the other. */
function sayOfTable(text) {
  $("say-table").textContent = text;
}

async function ask({ point, withNoise }) {
  const along = lines(point, model);
  const answer = await predict(pointsOf(point, along), withNoise);
  return { ...split(answer, along), version: answer.version };
}

function changed() {
  const { point } = inputs;
  $("outside").hidden = true;
  if (point.some(Number.isNaN)) {
    latest.drop();
    $("result").classList.add("stale");
    return;
  }
  showOutside();
  writeAddress(model.feature_names, point);
  showCommand($("curl"), curl(model.feature_names, point));
  latest.put({ point, withNoise: noise() });
}

function showOutside() {
  const { outside } = inputs;
  $("outside").hidden = outside.length === 0;
  $("outside").textContent =
    `Outside the training range in ${listed(outside)}: the model extrapolates.`;
}

function showAnswer(answer, { point }) {
  if (answer.version !== model.version) load();
  axis.include(extent(answer));
  shown = { answer, point };
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
  drawGauge($("gauge"), shown.answer, axis);
  inputs.draw(shown.answer, shown.point, axis);
}

function settle() {
  if (axis.settle(extent(shown.answer))) draw();
  const text = (id) => $(id).textContent;
  const warning = $("outside").hidden ? "" : ` ${text("outside")}`;
  const interval = `95 % between ${text("lower")} and ${text("upper")}`;
  say(`${text("output")} ${text("mean")}, ${interval}.${warning}`);
}

function showProblem(error) {
  $("result").classList.add("stale");
  $("problem").textContent = error.message;
  $("problem").hidden = false;
  if (error.status === UNPROCESSABLE) recheckTwice();
}

/** The inputs may be those of an older model; the process asked first may still serve that too. */
function recheckTwice() {
  recheck();
  clearTimeout(rechecking);
  rechecking = setTimeout(recheck, ALL_UPDATED);
}

async function recheck() {
  const served = await getModel().catch(() => model);
  if (served.version !== model.version) setUp(served);
}

async function load() {
  try {
    const served = await getModel();
    if (model?.version !== served.version) setUp(served);
  } catch (error) {
    $("lead").textContent = error.message;
    setTimeout(load, RETRY);
  }
}

function setUp(served) {
  const values = model ? inputs.values : readAddress();
  if (model) say(`The model is now version ${served.version}.`);
  latest.drop(); // the answer to come has the shape of the old model
  model = served;
  axis = new OutputAxis();
  shown = null;
  describe(model);
  inputs.show(model, values);
  $("main").hidden = false;
  diagnostics.describe(model);
  $("example").href = URL.createObjectURL(exampleTable(model));
  changed();
}

function reset() {
  inputs.reset();
  changed();
}

/** Show the point of a link that is opened in this tab. */
function visit() {
  if (!model) return; // `setUp` reads the address
  inputs.set(readAddress());
  changed();
}

async function copyCommand() {
  await copy($("curl"));
  $("copy").textContent = "Copied";
  say("Copied");
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

$("middle").addEventListener("click", reset);
$("copy").addEventListener("click", copyCommand);
onBandChange(changed);
addEventListener("hashchange", visit);
new ResizeObserver(draw).observe($("main"));
new TablePanel(sayOfTable);
load();

// One picture, examples of what to look for in it, and what the server found: how the parts of the page work together.

import { drawWithKeys, drawWithPointer } from "./drawing.js";
import { $, complain, limited, say } from "./elements.js";
import { refresh, showKnown, takeFile } from "./examples.js";
import { find, refreshFind, stop } from "./find.js";
import { download, forget, showAbove, thinLabels } from "./found.js";
import { decoded, drawn, sendable } from "./pictures.js";
import { Problem, ask } from "./server.js";
import { state } from "./state.js";

const SHOWN_PX = 2048; // longer sides are drawn smaller: telephones have no memory for more

async function showPicture(file) {
  const bitmap = await decoded(file);
  if (!bitmap) return;
  complain("");
  stop();
  const { width, height } = bitmap;
  state.picture?.bitmap.close();
  state.picture = { name: file.name, blob: await sendable(file, bitmap), bitmap, width, height };
  const small = drawn(bitmap, [0, 0, width, height], SHOWN_PX);
  Object.assign($("picture"), { width: small.width, height: small.height });
  $("picture").getContext("2d").drawImage(small, 0, 0);
  $("overlay").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("overlay").setAttribute("preserveAspectRatio", "none");
  $("frame").style.setProperty("--ratio", width / height);
  $("frame").setAttribute("aria-label", `Picture ${file.name}, ${width} by ${height} pixels`);
  $("about").textContent = `${file.name} · ${width} × ${height}`;
  $("choose-picture-label").textContent = "Another picture";
  $("stage").classList.remove("empty-stage");
  for (const [id, hidden] of [["empty", true], ["frame", false], ["about", false]]) $(id).hidden = hidden;
  say(`Picture ${file.name}, ${width} by ${height} pixels.`);
  forget();
  refresh();
}

/** Ask the server which network it has and which classes it knows. */
async function meet() {
  let registered;
  try {
    state.model = await ask("v1/model");
    registered = (await ask("v1/classes")).classes.map((one) => one.name);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if ($("key").hidden || $("key-field").value) complain(error.message);
    else $("key-field").focus();
    return;
  }
  const { class_names: trained, default_threshold: threshold, name, weights } = state.model;
  $("key").hidden = true;
  $("model").hidden = false;
  $("model").textContent = `${name} · ${weights}`;
  $("threshold").value = limited(threshold ?? 0.5, 0, 1);
  if (trained) $("known-legend").textContent = "What this network was trained to find; none chosen: all";
  $("bring").hidden = Boolean(trained);
  showKnown(trained ?? registered);
  refreshFind();
}

function droppable(place, take) {
  let depth = 0; // entering a child leaves its parent
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (change) => {
    depth = Math.max(0, depth + change);
    place.classList.toggle("dropping", depth > 0);
  };
  place.addEventListener("dragenter", (event) => carriesFiles(event) && over(1));
  place.addEventListener("dragleave", (event) => carriesFiles(event) && over(-1));
  place.addEventListener("drop", (event) => {
    over(-depth);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

function takeChosen(input, take) {
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // the same file can be chosen again
  });
}

const takePicture = (files) => files.length && showPicture(files[0]);
const takeClasses = async (files) => {
  if (files.length && state.model.class_names)
    return complain("This network finds what it was trained for, and no other things.");
  for (const file of files) await takeFile(file);
};

for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault()); // else it is opened
droppable($("stage"), takePicture);
droppable($("look-for").parentElement, takeClasses);
takeChosen($("choose-picture"), takePicture);
takeChosen($("choose-class"), takeClasses);
drawWithPointer();
drawWithKeys();
$("find").addEventListener("click", () => (state.running ? stop() : find()));
$("threshold").addEventListener("input", showAbove);
$("aligned").addEventListener("change", () => $("overlay").classList.toggle("no-shapes", !$("aligned").checked));
$("download").addEventListener("click", download);
new ResizeObserver(thinLabels).observe($("frame"));
$("problem-close").addEventListener("click", () => complain(""));
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  complain("");
  meet();
});
meet();

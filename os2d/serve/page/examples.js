// What to look for: examples cut from the picture or brought as files, and classes that the server knows by name.

import { colourOf, freeColour, passColour } from "./colours.js";
import { $, complain, element, say } from "./elements.js";
import { find, refreshFind } from "./find.js";
import { drawOverlay } from "./overlay.js";
import { asPng, decoded, drawn, sendable, withoutEnding } from "./pictures.js";
import { state } from "./state.js";

const EXAMPLE_PX = 1024; // networks see examples of a few hundred pixels

const isUsed = (name) => state.examples.some((one) => one.name === name);

/** Take a box of the picture as an example; ask for its name, unless a keyboard on the screen would cover the picture. */
export async function takeBox(box, byFinger) {
  const of = state.picture;
  const canvas = drawn(of.bitmap, box, EXAMPLE_PX);
  const blob = await asPng(canvas);
  add({ name: unusedName(), fileName: "example.png", blob, canvas, box, of });
  if (byFinger) return;
  const field = $("examples").lastChild.querySelector(".name");
  field.focus();
  field.select();
}

export async function takeFile(file) {
  const bitmap = await decoded(file);
  if (!bitmap) return;
  const blob = await sendable(file, bitmap);
  const canvas = drawn(bitmap, [0, 0, bitmap.width, bitmap.height], EXAMPLE_PX);
  bitmap.close();
  add({ name: withoutEnding(file.name) || unusedName(), fileName: file.name, blob, canvas, box: null, of: null });
}

function unusedName() {
  for (let n = 1; ; n++) if (!isUsed(`object ${n}`)) return `object ${n}`;
}

function add(example) {
  state.examples.push(example);
  complain("");
  say(`Added a picture of ${example.name}.`);
  refresh();
}

function remove(example) {
  state.examples = state.examples.filter((one) => one !== example);
  if (!isUsed(example.name)) freeColour(example.name);
  say(`Removed a picture of ${example.name}.`);
  refresh();
  ($("examples").lastChild?.querySelector(".name") ?? $("choose-class")).focus();
}

/** Examples of one name are views of one class. */
function rename(example, name) {
  const before = example.name;
  example.name = name || unusedName();
  if (!isUsed(before)) passColour(before, example.name);
  const views = state.examples.filter((one) => one.name === example.name).length;
  if (views > 1) say(`${example.name} is looked for with ${views} pictures.`);
  [...$("examples").children].forEach((row, k) => describe(row, state.examples[k]));
  drawOverlay();
}

function rowOf(example) {
  const field = element("input", { className: "name", maxLength: 100, autocomplete: "off", spellcheck: false });
  field.setAttribute("aria-label", "Name of the class");
  const take = () => field.value.trim() === example.name || rename(example, field.value.trim());
  field.addEventListener("change", take);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    take();
    find();
  });
  const drop = element("button", { type: "button", textContent: "×", title: "Remove this picture" });
  drop.addEventListener("click", () => remove(example));
  const row = element("li", {}, element("div", { className: "view" }, example.canvas), field, drop);
  describe(row, example);
  return row;
}

function describe(row, example) {
  row.querySelector(".name").value = example.name;
  row.querySelector("button").setAttribute("aria-label", `Remove this picture of ${example.name}`);
  row.style.setProperty("--colour", colourOf(example.name));
}

export function refresh() {
  $("examples").replaceChildren(...state.examples.map(rowOf));
  $("hint").textContent = hint();
  refreshFind();
  drawOverlay();
}

function hint() {
  if (!state.picture) return "Choose a picture, then drag a box around one thing in it.";
  if (!state.examples.length) return "Drag a box around one thing in the picture, or drop a picture of it here.";
  return "Another box is another thing; pictures of one name are views of one thing.";
}

/** Offer classes that the server knows by name. */
export function showKnown(names) {
  state.known = names.map((name) => ({ name, chosen: false }));
  $("known").hidden = !names.length;
  $("known-classes").replaceChildren(...state.known.map(chipOf));
}

function chipOf(one) {
  const box = element("input", { type: "checkbox", checked: one.chosen });
  box.addEventListener("change", () => {
    one.chosen = box.checked;
    refreshFind();
  });
  return element("label", {}, box, one.name);
}

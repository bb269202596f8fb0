// What was found: boxes, labels, list and threshold. The answer holds everything, so moving the threshold asks nothing.

import { colourOf } from "./colours.js";
import { $, element, limited, polygon, rectangle, say, shape } from "./elements.js";
import { drawOverlay } from "./overlay.js";
import { withoutEnding } from "./pictures.js";
import { state } from "./state.js";

const FEW = 20; // more aligned shapes are outlined, not tinted: the picture shall be seen

const threshold = () => Number($("threshold").value);
const above = () => state.answer.parts.filter((part) => part.detection.score > threshold());

export function showAnswer(told) {
  const parts = told.detections.map(partOf);
  state.answer = { told, parts };
  $("labels").replaceChildren(...parts.map((part) => part.label));
  $("detections").replaceChildren(...parts.map((part) => part.item));
  $("scores").replaceChildren(...parts.map((part) => part.tick));
  $("aligned-switch").hidden = !told.detections.some((one) => one.corners);
  const { queued, computed } = told.seconds;
  $("took").textContent = `${computed.toFixed(1)} s${queued >= 0.1 ? ` after ${queued.toFixed(1)} s in the queue` : ""}`;
  for (const id of ["found", "threshold-row"]) $(id).hidden = false;
  point(null, false);
  drawOverlay();
  showAbove();
}

export function forget() {
  state.answer = null;
  for (const id of ["found", "threshold-row"]) $(id).hidden = true;
  $("labels").replaceChildren();
}

function partOf(detection) {
  const { class: name, score, box, corners } = detection;
  const group = shape("g", { class: "detection" });
  if (corners) group.append(polygon(corners, "shape"));
  group.append(polygon(rectangle(box), "halo"), polygon(rectangle(box), "box"));
  const tick = shape("line", { x1: 100 * score, x2: 100 * score, y1: 4, y2: 20 });
  const button = element("button", { type: "button" }, element("span", { textContent: name }), score.toFixed(3));
  button.setAttribute("aria-label", `${name}, score ${score.toFixed(3)}`);
  const part = { detection, group, tick, label: labelAt(detection), item: element("li", {}, button) };
  for (const one of [group, tick, part.label, button]) one.style.setProperty("--colour", colourOf(name));
  for (const event of ["pointerenter", "focus", "click"]) button.addEventListener(event, () => point(part, false));
  for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => point(null, false));
  return part;
}

function labelAt({ class: name, score, box }) {
  const { height } = state.picture;
  const label = element("div", {}, element("span", { textContent: name }), score.toFixed(2));
  label.style.top = `${(100 * limited(box[1], 0, height)) / height}%`;
  label.classList.toggle("inside", box[1] < 0.05 * height);
  return label;
}

let saying = 0;

/** Show what has a higher score than the threshold. */
export function showAbove() {
  $("threshold-value").textContent = threshold().toFixed(2);
  if (!state.answer) return;
  const { parts } = state.answer;
  const shown = above().length;
  parts.forEach((part, k) => { // best first
    for (const one of [part.label, part.item]) one.hidden = k >= shown;
    part.group.toggleAttribute("hidden", k >= shown);
    part.tick.classList.toggle("below", k >= shown);
  });
  $("overlay").classList.toggle("few", shown <= FEW);
  thinLabels();
  $("count").textContent = shown;
  $("download").disabled = !shown;
  const best = parts[0]?.detection.score;
  $("none").hidden = shown > 0;
  $("none").textContent = best === undefined ? "Nothing that looks like it." : `Nothing above. The best has ${best.toFixed(3)}.`;
  clearTimeout(saying);
  saying = setTimeout(() => say(spoken()), 300); // not at every step of the slider
}

function spoken() {
  const counts = new Map();
  for (const { detection } of above()) counts.set(detection.class, (counts.get(detection.class) ?? 0) + 1);
  const parts = [...counts].map(([name, n]) => `${n} ${name}`);
  return `Found ${parts.join(", ") || "nothing"} with a score above ${threshold().toFixed(2)}.`;
}

/** Leave the name out, then all, of labels that would cover those of better detections; pointing shows them. */
export function thinLabels() {
  const parts = state.answer ? above() : [];
  for (const { label } of parts) label.classList.remove("short", "crowded");
  const width = $("labels").offsetWidth;
  const measured = parts.map(({ label, detection: { box } }) => {
    const [whole, height] = [label.offsetWidth, label.offsetHeight];
    const top = label.offsetTop - (label.classList.contains("inside") ? 0 : height);
    const left = (width * Math.max(0, box[0])) / state.picture.width;
    const wide = (size) => new DOMRect(Math.min(left, width - size), top, size, height);
    return { label, full: wide(whole), short: wide(whole - label.firstChild.offsetWidth) };
  });
  const kept = [];
  for (const { label, full, short } of measured) {
    const free = [full, short].find((one) => !kept.some((other) => overlap(one, other)));
    label.style.left = `${(100 * (free ?? full).left) / width}%`;
    label.classList.toggle("short", free === short);
    label.classList.toggle("crowded", !free);
    if (free) kept.push(free);
  }
}

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Make one detection stand out, or none. */
export function point(part, scroll) {
  for (const one of state.answer?.parts ?? []) {
    for (const piece of [one.group, one.label, one.item.firstChild]) piece.classList.toggle("active", one === part);
  }
  for (const id of ["overlay", "labels"]) $(id).classList.toggle("dimmed", Boolean(part));
  if (part && scroll) $("detections").scrollTop = part.item.offsetTop - $("detections").offsetTop - 60;
}

/** The smallest detection around a place in the picture, or none. */
export function detectionAt([x, y]) {
  if (!state.answer) return null;
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const here = above().filter(({ detection: { box } }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  return here.sort((a, b) => area(a.detection.box) - area(b.detection.box))[0] ?? null;
}

export function download() {
  const { told } = state.answer;
  const detections = above().map((part) => part.detection);
  const image = { name: state.picture.name, ...told.image };
  const content = { ...told, image, threshold: threshold(), detections };
  const address = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  element("a", { href: address, download: `${withoutEnding(state.picture.name)}-detections.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

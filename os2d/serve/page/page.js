// One picture, examples of what to look for in it, and what the server found. Everything is drawn on canvases, so the
// page needs no blob: addresses and lives under a policy that lets it load nothing but itself.

const $ = (id) => document.getElementById(id);
const COLOURS = ["#ffb020", "#38bdf8", "#34d399", "#f472b6", "#a78bfa", "#a3e635", "#fb923c", "#2dd4bf"];
const SENT_AS_IT_IS = ["image/jpeg", "image/png", "image/webp"];
const SHOWN_PX = 2048; // longer sides are drawn smaller: telephones have no memory for more
const EXAMPLE_PX = 1024; // networks see examples of a few hundred pixels
const SMALLEST_PX = 8;
const DRAG_PX = 5; // of the screen; less is a click
const MOST = 200; // detections asked for
const BUSY_TRIES = 5;
const LOADING_TRIES = 60; // a network is loaded once, and some are large
const FEW = 20; // more aligned shapes are outlined, not tinted: the picture shall be seen
const FIELDS = { // of a request, as the page calls them
  image: "The picture",
  class_image: "A picture of what to look for",
  class_name: "A name",
  class: "A class known to the server",
};

let picture = null; // {name, blob, bitmap, width, height}
let examples = []; // {name, fileName, blob, canvas, box, of}; those cut from a picture know their box in it
let known = []; // {name, chosen}: what the server knows by name
let answer = null; // {told, parts: [{detection, group, label, item, tick}]}
let draft = null; // [x1, y1, x2, y2] of the box that is being drawn, pixels of the picture
let byFinger = false; // the last box was drawn by touch
let running = null; // AbortController of the request under way
let model = {};
const colours = new Map(); // name of a class -> colour

// ---------------------------------------------------------------- elements and messages

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function polygon(points, kind) {
  return shape("polygon", { points: points.map((p) => p.join()).join(" "), class: kind });
}

const rectangle = ([x1, y1, x2, y2]) => [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

function say(sentence) {
  $("status").textContent = sentence;
}

function complain(sentence) {
  $("problem").hidden = !sentence;
  $("problem-text").textContent = sentence;
}

// ---------------------------------------------------------------- pictures

async function decoded(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    complain(`“${file.name}” is not a picture that can be read here. JPEG, PNG and WebP can.`);
    return null;
  }
}

function drawn(bitmap, [x1, y1, x2, y2], longest) {
  const scale = Math.min(1, longest / Math.max(x2 - x1, y2 - y1));
  const [width, height] = [x2 - x1, y2 - y1].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(bitmap, x1, y1, x2 - x1, y2 - y1, 0, 0, width, height);
  return canvas;
}

const asPng = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));

/** What is sent of a file: itself, or a PNG of what the browser can read and the server cannot. */
async function sendable(file, bitmap) {
  if (SENT_AS_IT_IS.includes(file.type)) return file;
  return asPng(drawn(bitmap, [0, 0, bitmap.width, bitmap.height], Infinity));
}

async function showPicture(file) {
  const bitmap = await decoded(file);
  if (!bitmap) return;
  complain("");
  stop();
  const { width, height } = bitmap;
  picture?.bitmap.close();
  picture = { name: file.name, blob: await sendable(file, bitmap), bitmap, width, height };
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

// ---------------------------------------------------------------- examples of classes

/** The colour of a class: one that no other has, while there are any. */
function colourOf(name) {
  if (!colours.has(name)) {
    const free = COLOURS.find((colour) => ![...colours.values()].includes(colour));
    colours.set(name, free ?? COLOURS[colours.size % COLOURS.length]);
  }
  return colours.get(name);
}

function unusedName() {
  for (let n = 1; ; n++) if (!examples.some((one) => one.name === `object ${n}`)) return `object ${n}`;
}

function add(example) {
  examples.push(example);
  complain("");
  say(`Added a picture of ${example.name}.`);
  refresh();
}

async function takeBox(box) {
  const of = picture;
  const canvas = drawn(of.bitmap, box, EXAMPLE_PX);
  const blob = await asPng(canvas);
  add({ name: unusedName(), fileName: "example.png", blob, canvas, box, of });
  const field = $("examples").lastChild.querySelector(".name");
  if (byFinger) return; // its keyboard would cover the picture
  field.focus();
  field.select();
}

async function takeFile(file) {
  const bitmap = await decoded(file);
  if (!bitmap) return;
  const blob = await sendable(file, bitmap);
  const canvas = drawn(bitmap, [0, 0, bitmap.width, bitmap.height], EXAMPLE_PX);
  bitmap.close();
  add({ name: file.name.replace(/\.[^.]*$/, "") || unusedName(), fileName: file.name, blob, canvas, box: null, of: null });
}

function remove(example) {
  examples = examples.filter((one) => one !== example);
  if (!examples.some((one) => one.name === example.name)) colours.delete(example.name);
  say(`Removed a picture of ${example.name}.`);
  refresh();
  ($("examples").lastChild?.querySelector(".name") ?? $("choose-class")).focus();
}

/** Examples of one name are views of one class; a class keeps its colour under a new name. */
function rename(example, name) {
  const before = example.name;
  example.name = name || unusedName();
  if (!examples.some((one) => one.name === before)) {
    if (!colours.has(example.name)) colours.set(example.name, colours.get(before));
    colours.delete(before);
  }
  const views = examples.filter((one) => one.name === example.name).length;
  if (views > 1) say(`${example.name} is looked for with ${views} pictures.`);
  [...$("examples").children].forEach((row, k) => describe(row, examples[k]));
  drawOverlay();
}

function describe(row, example) {
  row.querySelector(".name").value = example.name;
  row.querySelector("button").setAttribute("aria-label", `Remove this picture of ${example.name}`);
  row.style.setProperty("--colour", colourOf(example.name));
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

function chipOf(one) {
  const box = element("input", { type: "checkbox", checked: one.chosen });
  box.addEventListener("change", () => {
    one.chosen = box.checked;
    refreshFind();
  });
  return element("label", {}, box, one.name);
}

const chosen = () => known.filter((one) => one.chosen);

function hint() {
  if (!picture) return "Choose a picture, then drag a box around one thing in it.";
  if (!examples.length) return "Drag a box around one thing in the picture, or drop a picture of it here.";
  return "Another box is another thing; pictures of one name are views of one thing.";
}

function refreshFind() {
  $("find").disabled = !running && !(picture && (examples.length || chosen().length || model.class_names));
  $("find").textContent = running ? "Stop" : "Find";
  $("find").classList.toggle("stop", Boolean(running));
  $("progress").hidden = !running;
  $("stage").setAttribute("aria-busy", String(Boolean(running)));
}

function refresh() {
  $("examples").replaceChildren(...examples.map(rowOf));
  $("hint").textContent = hint();
  refreshFind();
  drawOverlay();
}

// ---------------------------------------------------------------- drawing a box

const limited = (value, least, most) => Math.min(Math.max(value, least), most);

function placeOf(event) {
  const frame = $("picture").getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * picture.width;
  const y = ((event.clientY - frame.top) / frame.height) * picture.height;
  return [limited(x, 0, picture.width), limited(y, 0, picture.height)];
}

function boxBetween([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)].map(Math.round);
}

function finishDraft() {
  const box = draft;
  setDraft(null);
  if (!box) return;
  if (box[2] - box[0] < SMALLEST_PX || box[3] - box[1] < SMALLEST_PX)
    return complain(`This box is too small: draw at least ${SMALLEST_PX} by ${SMALLEST_PX} pixels of the picture.`);
  takeBox(box);
}

function setDraft(box) {
  draft = box;
  drawOverlay();
}

function drawWithPointer() {
  let from = null;
  const frame = $("frame");
  frame.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button || model.class_names) return;
    byFinger = event.pointerType === "touch";
    from = { place: placeOf(event), x: event.clientX, y: event.clientY };
    setDraft(null);
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from || !event.isPrimary) return;
    if (draft || Math.hypot(event.clientX - from.x, event.clientY - from.y) > DRAG_PX)
      setDraft(boxBetween(from.place, placeOf(event)));
  });
  frame.addEventListener("pointerup", (event) => {
    if (!from || !event.isPrimary) return;
    from = null;
    if (draft) finishDraft();
    else point(detectionAt(placeOf(event)), true);
  });
  frame.addEventListener("pointercancel", () => { // two fingers: the browser enlarges the page
    from = null;
    setDraft(null);
  });
}

function drawWithKeys() {
  const frame = $("frame");
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  frame.addEventListener("keydown", (event) => {
    const { width, height } = picture;
    byFinger = false;
    if (model.class_names) return;
    if (event.key === "Enter" || event.key === " ") {
      if (draft) finishDraft();
      else setDraft([0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height].map(Math.round));
    } else if (event.key === "Escape" && draft) setDraft(null);
    else if (moves[event.key] && draft) setDraft(stepped(draft, moves[event.key], event.shiftKey));
    else return;
    event.preventDefault();
    if (draft) say(`Box ${draft[2] - draft[0]} by ${draft[3] - draft[1]} pixels, from ${draft[0]}, ${draft[1]}.`);
  });
  frame.addEventListener("blur", () => draft && setDraft(null));
}

/** The box moved, or with its lower right corner moved, by a hundredth of the picture. */
function stepped([x1, y1, x2, y2], [right, down], sizes) {
  const { width, height } = picture;
  const step = Math.max(1, Math.round(Math.max(width, height) / 100));
  const [dx, dy] = [right * step, down * step];
  if (sizes) return [x1, y1, limited(x2 + dx, x1 + SMALLEST_PX, width), limited(y2 + dy, y1 + SMALLEST_PX, height)];
  const [x, y] = [limited(dx, -x1, width - x2), limited(dy, -y1, height - y2)];
  return [x1 + x, y1 + y, x2 + x, y2 + y];
}

function drawOverlay() {
  const drawing = [];
  for (const { box, name } of examples.filter((one) => one.box && one.of === picture)) {
    const group = shape("g", {});
    group.append(polygon(rectangle(box), "halo"), polygon(rectangle(box), "example"));
    group.style.setProperty("--colour", colourOf(name));
    drawing.push(group);
  }
  if (answer) drawing.push(...answer.parts.map((part) => part.group));
  if (draft) {
    const [x1, y1, x2, y2] = draft;
    const around = `M0 0H${picture.width}V${picture.height}H0ZM${x1} ${y1}V${y2}H${x2}V${y1}Z`;
    drawing.push(shape("path", { d: around, class: "scrim" }), polygon(rectangle(draft), "draft"));
  }
  $("overlay").replaceChildren(...drawing);
}

// ---------------------------------------------------------------- asking the server

class Problem extends Error {}

const pause = (seconds, signal) =>
  new Promise((done, fail) => {
    setTimeout(done, 1000 * seconds);
    signal?.addEventListener("abort", () => fail(signal.reason), { once: true });
  });

/** What the server says, a busy one asked again when it says so; raises Problem with a sentence for the reader. */
async function ask(path, options = {}) {
  const key = $("key-field").value;
  if (/[^\x20-\xff]/.test(key)) throw new Problem("This key has characters that no request can carry.");
  for (let tried = 1; ; tried++) {
    const told = await fetch(path, { ...options, headers: key ? { "X-API-Key": key } : {} }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Problem("The server does not answer. Is it still running?");
    });
    const content = await told.json().catch(() => null);
    options.signal?.throwIfAborted();
    if (told.ok && content) return content;
    if (told.status === 401) throw askForKey(key);
    const { code, message, field } = content?.error ?? {};
    const tries = code === "not_ready" ? LOADING_TRIES : told.status === 429 ? BUSY_TRIES : 1;
    if (tried >= tries) throw new Problem(sentence(told.status, message, field));
    const seconds = Number(told.headers.get("Retry-After")) || 2;
    busy(`${code === "not_ready" ? "The network is being loaded" : "The server is busy"}. Asking again in ${seconds} s.`);
    await pause(seconds, options.signal);
    busy("");
  }
}

function askForKey(tried) {
  $("key").hidden = false;
  return new Problem(tried ? "The server does not take this key." : "The server asks for a key.");
}

function busy(text) {
  $("busy").textContent = text;
  $("busy").hidden = !text;
}

function sentence(status, message, field) {
  if (!message) return `The server answered with status ${status} and no explanation.`;
  const whole = field && !message.startsWith("the picture") ? `${FIELDS[field] ?? field}: ${message}` : message[0].toUpperCase() + message.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function question() {
  const form = new FormData();
  form.append("image", picture.blob, picture.name);
  for (const { name, blob, fileName } of examples) {
    form.append("class_image", blob, fileName);
    form.append("class_name", name);
  }
  for (const one of chosen()) form.append("class", one.name);
  form.append("threshold", "0");
  form.append("max_detections", String(Math.min(MOST, model.limits?.detections ?? MOST)));
  return form;
}

function stop() {
  running?.abort();
}

async function find() {
  if ($("find").disabled || running) return;
  complain("");
  const mine = (running = new AbortController());
  refreshFind();
  say("Looking.");
  if (matchMedia("(max-width: 900px)").matches) $("stage").scrollIntoView({ block: "nearest" });
  try {
    const told = await ask("v1/detect", { method: "POST", body: question(), signal: mine.signal });
    if (!mine.signal.aborted) showAnswer(told);
  } catch (error) {
    if (error instanceof Problem) complain(error.message);
    else if (error.name !== "AbortError") throw error;
    say("");
  } finally {
    if (running === mine) running = null;
    busy("");
    refreshFind();
  }
}

// ---------------------------------------------------------------- what was found

function labelAt({ class: name, score, box }) {
  const label = element("div", {}, element("span", { textContent: name }), score.toFixed(2));
  label.style.top = `${(100 * limited(box[1], 0, picture.height)) / picture.height}%`;
  label.classList.toggle("inside", box[1] < 0.05 * picture.height);
  return label;
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

function forget() {
  answer = null;
  for (const id of ["found", "threshold-row"]) $(id).hidden = true;
  $("labels").replaceChildren();
}

function showAnswer(told) {
  const parts = told.detections.map(partOf);
  answer = { told, parts };
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

const threshold = () => Number($("threshold").value);
const above = () => answer.parts.filter((part) => part.detection.score > threshold());

let saying = 0;

/** Show what has a higher score than the threshold: the answer holds all of it, so nothing is asked again. */
function showAbove() {
  const shown = above().length;
  $("threshold-value").textContent = threshold().toFixed(2);
  if (!answer) return;
  answer.parts.forEach((part, k) => { // best first
    for (const one of [part.label, part.item]) one.hidden = k >= shown;
    part.group.toggleAttribute("hidden", k >= shown);
    part.tick.classList.toggle("below", k >= shown);
  });
  $("overlay").classList.toggle("few", shown <= FEW);
  thinLabels();
  $("count").textContent = shown;
  $("download").disabled = !shown;
  const best = answer.parts[0]?.detection.score;
  $("none").hidden = shown > 0;
  $("none").textContent = best === undefined ? "Nothing that looks like it." : `Nothing above. The best has ${best.toFixed(3)}.`;
  clearTimeout(saying);
  saying = setTimeout(() => say(spoken()), 300); // not at every step of the slider
}

/** Leave the name out, then all, of labels that would cover those of better detections; pointing shows them. */
function thinLabels() {
  const parts = answer ? above() : [];
  for (const { label } of parts) label.classList.remove("short", "crowded");
  const width = $("labels").offsetWidth;
  const measured = parts.map(({ label, detection: { box } }) => {
    const [whole, height] = [label.offsetWidth, label.offsetHeight];
    const top = label.offsetTop - (label.classList.contains("inside") ? 0 : height);
    const left = (width * Math.max(0, box[0])) / picture.width;
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

function spoken() {
  const counts = new Map();
  for (const { detection } of above()) counts.set(detection.class, (counts.get(detection.class) ?? 0) + 1);
  const parts = [...counts].map(([name, n]) => `${n} ${name}`);
  return `Found ${parts.join(", ") || "nothing"} with a score above ${threshold().toFixed(2)}.`;
}

/** Make one detection stand out, or none. */
function point(part, scroll) {
  for (const one of answer?.parts ?? []) {
    for (const piece of [one.group, one.label, one.item.firstChild]) piece.classList.toggle("active", one === part);
  }
  for (const id of ["overlay", "labels"]) $(id).classList.toggle("dimmed", Boolean(part));
  if (part && scroll) $("detections").scrollTop = part.item.offsetTop - $("detections").offsetTop - 60;
}

function detectionAt([x, y]) {
  if (!answer) return null;
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const here = above().filter(({ detection: { box } }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  return here.sort((a, b) => area(a.detection.box) - area(b.detection.box))[0] ?? null;
}

function download() {
  const detections = above().map((part) => part.detection);
  const image = { name: picture.name, ...answer.told.image };
  const content = { ...answer.told, image, threshold: threshold(), detections };
  const address = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  element("a", { href: address, download: `${picture.name.replace(/\.[^.]*$/, "")}-detections.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// ---------------------------------------------------------------- the server's side, and the wiring

async function meet() {
  try {
    model = await ask("v1/model");
    known = (await ask("v1/classes")).classes.map((one) => ({ name: one.name, chosen: false }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if ($("key").hidden || $("key-field").value) complain(error.message);
    else $("key-field").focus();
    return;
  }
  $("key").hidden = true;
  $("model").hidden = false;
  $("model").textContent = `${model.name} · ${model.weights}`;
  $("threshold").value = limited(model.default_threshold ?? 0.5, 0, 1);
  if (model.class_names) known = model.class_names.map((name) => ({ name, chosen: false }));
  if (model.class_names) $("known-legend").textContent = "What this network was trained to find; none chosen: all";
  $("bring").hidden = Boolean(model.class_names);
  $("known").hidden = !known.length;
  $("known-classes").replaceChildren(...known.map(chipOf));
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

const takeClasses = async (files) => {
  if (files.length && model.class_names) return complain("This network finds what it was trained for, and no other things.");
  for (const file of files) await takeFile(file);
};
const takePicture = (files) => files.length && showPicture(files[0]);

for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault()); // else it is opened
droppable($("stage"), takePicture);
droppable($("look-for").parentElement, takeClasses);
takeChosen($("choose-picture"), takePicture);
takeChosen($("choose-class"), takeClasses);
drawWithPointer();
drawWithKeys();
$("find").addEventListener("click", () => (running ? stop() : find()));
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

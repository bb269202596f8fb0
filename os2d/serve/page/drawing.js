// A box drawn around a thing in the picture, by mouse, finger or keys; a click points at what was found.

import { $, complain, limited, say } from "./elements.js";
import { takeBox } from "./examples.js";
import { detectionAt, point } from "./found.js";
import { setDraft } from "./overlay.js";
import { state } from "./state.js";

const SMALLEST_PX = 8;
const DRAG_PX = 5; // of the screen; less is a click
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function drawWithPointer() {
  let from = null;
  let byFinger = false;
  const frame = $("frame");
  frame.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button || state.model.class_names) return;
    byFinger = event.pointerType === "touch";
    from = { place: placeOf(event), x: event.clientX, y: event.clientY };
    setDraft(null);
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from || !event.isPrimary) return;
    if (state.draft || Math.hypot(event.clientX - from.x, event.clientY - from.y) > DRAG_PX)
      setDraft(boxBetween(from.place, placeOf(event)));
  });
  frame.addEventListener("pointerup", (event) => {
    if (!from || !event.isPrimary) return;
    from = null;
    if (state.draft) finishDraft(byFinger);
    else point(detectionAt(placeOf(event)), true);
  });
  frame.addEventListener("pointercancel", () => { // two fingers: the browser enlarges the page
    from = null;
    setDraft(null);
  });
}

export function drawWithKeys() {
  const frame = $("frame");
  frame.addEventListener("keydown", (event) => {
    if (state.model.class_names) return;
    const { width, height } = state.picture;
    if (event.key === "Enter" || event.key === " ") {
      if (state.draft) finishDraft(false);
      else setDraft([0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height].map(Math.round));
    } else if (event.key === "Escape" && state.draft) setDraft(null);
    else if (MOVES[event.key] && state.draft) setDraft(stepped(state.draft, MOVES[event.key], event.shiftKey));
    else return;
    event.preventDefault();
    if (!state.draft) return;
    const [x1, y1, x2, y2] = state.draft;
    say(`Box ${x2 - x1} by ${y2 - y1} pixels, from ${x1}, ${y1}.`);
  });
  frame.addEventListener("blur", () => state.draft && setDraft(null));
}

function placeOf(event) {
  const { width, height } = state.picture;
  const frame = $("picture").getBoundingClientRect();
  const x = ((event.clientX - frame.left) / frame.width) * width;
  const y = ((event.clientY - frame.top) / frame.height) * height;
  return [limited(x, 0, width), limited(y, 0, height)];
}

function boxBetween([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)].map(Math.round);
}

/** The box moved, or with its lower right corner moved, by a hundredth of the picture. */
function stepped([x1, y1, x2, y2], [right, down], sizes) {
  const { width, height } = state.picture;
  const step = Math.max(1, Math.round(Math.max(width, height) / 100));
  const [dx, dy] = [right * step, down * step];
  if (sizes) return [x1, y1, limited(x2 + dx, x1 + SMALLEST_PX, width), limited(y2 + dy, y1 + SMALLEST_PX, height)];
  const [x, y] = [limited(dx, -x1, width - x2), limited(dy, -y1, height - y2)];
  return [x1 + x, y1 + y, x2 + x, y2 + y];
}

function finishDraft(byFinger) {
  const box = state.draft;
  setDraft(null);
  if (!box) return;
  if (box[2] - box[0] < SMALLEST_PX || box[3] - box[1] < SMALLEST_PX)
    return complain(`This box is too small: draw at least ${SMALLEST_PX} by ${SMALLEST_PX} pixels of the picture.`);
  takeBox(box, byFinger);
}

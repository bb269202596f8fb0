// What is drawn over the picture: the boxes of the examples, what was found, and the box that is being drawn.

import { colourOf } from "./colours.js";
import { $, polygon, rectangle, shape } from "./elements.js";
import { state } from "./state.js";

export function drawOverlay() {
  const drawing = [];
  for (const { box, name } of state.examples.filter((one) => one.box && one.of === state.picture)) {
    const group = shape("g", {});
    group.append(polygon(rectangle(box), "halo"), polygon(rectangle(box), "example"));
    group.style.setProperty("--colour", colourOf(name));
    drawing.push(group);
  }
  if (state.answer) drawing.push(...state.answer.parts.map((part) => part.group));
  if (state.draft) {
    const [x1, y1, x2, y2] = state.draft;
    const around = `M0 0H${state.picture.width}V${state.picture.height}H0ZM${x1} ${y1}V${y2}H${x2}V${y1}Z`;
    drawing.push(shape("path", { d: around, class: "scrim" }), polygon(rectangle(state.draft), "draft"));
  }
  $("overlay").replaceChildren(...drawing);
}

export function setDraft(box) {
  state.draft = box;
  drawOverlay();
}

// The search: its button, the question to the server, and stopping.

import { $, busy, complain, say } from "./elements.js";
import { showAnswer } from "./found.js";
import { Problem, ask } from "./server.js";
import { chosen, state } from "./state.js";

const MOST = 200; // detections asked for

export function refreshFind() {
  const { examples, model, picture, running } = state;
  $("find").disabled = !running && !(picture && (examples.length || chosen().length || model.class_names));
  $("find").textContent = running ? "Stop" : "Find";
  $("find").classList.toggle("stop", Boolean(running));
  $("progress").hidden = !running;
  $("stage").setAttribute("aria-busy", String(Boolean(running)));
}

export async function find() {
  if ($("find").disabled || state.running) return;
  complain("");
  const mine = (state.running = new AbortController());
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
    if (state.running === mine) state.running = null;
    busy("");
    refreshFind();
  }
}

export function stop() {
  state.running?.abort();
}

function question() {
  const { examples, model, picture } = state;
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

// Every class has a colour: one that no other has, while there are any.

const COLOURS = ["#ffb020", "#38bdf8", "#34d399", "#f472b6", "#a78bfa", "#a3e635", "#fb923c", "#2dd4bf"];

const colours = new Map(); // name of a class -> colour

export function colourOf(name) {
  if (!colours.has(name)) {
    const free = COLOURS.find((colour) => ![...colours.values()].includes(colour));
    colours.set(name, free ?? COLOURS[colours.size % COLOURS.length]);
  }
  return colours.get(name);
}

export function freeColour(name) {
  colours.delete(name);
}

/** A class keeps its colour under a new name, unless another class has that name already. */
export function passColour(before, name) {
  if (!colours.has(name)) colours.set(name, colours.get(before));
  colours.delete(before);
}

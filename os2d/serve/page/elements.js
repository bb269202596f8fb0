// Elements of the page, shapes of its drawings, and what it says to its reader.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function polygon(points, kind) {
  return shape("polygon", { points: points.map((p) => p.join()).join(" "), class: kind });
}

export const rectangle = ([x1, y1, x2, y2]) => [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
export const limited = (value, least, most) => Math.min(Math.max(value, least), most);

/** For those who listen to the page. */
export function say(sentence) {
  $("status").textContent = sentence;
}

export function complain(sentence) {
  $("problem").hidden = !sentence;
  $("problem-text").textContent = sentence;
}

export function busy(sentence) {
  $("busy").textContent = sentence;
  $("busy").hidden = !sentence;
}

// Files into pictures, and parts of pictures into what is shown and sent. Everything is drawn on canvases, so the page
// needs no blob: addresses and lives under a policy that lets it load nothing but itself.

import { complain, element } from "./elements.js";

const SENT_AS_IT_IS = ["image/jpeg", "image/png", "image/webp"];

export async function decoded(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    complain(`“${file.name}” is not a picture that can be read here. JPEG, PNG and WebP can.`);
    return null;
  }
}

/** A canvas with a box of a picture, made smaller where its longer side has more pixels than that. */
export function drawn(bitmap, [x1, y1, x2, y2], longest) {
  const scale = Math.min(1, longest / Math.max(x2 - x1, y2 - y1));
  const [width, height] = [x2 - x1, y2 - y1].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(bitmap, x1, y1, x2 - x1, y2 - y1, 0, 0, width, height);
  return canvas;
}

export const asPng = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));

/** What is sent of a file: itself, or a PNG of what the browser can read and the server cannot. */
export async function sendable(file, bitmap) {
  if (SENT_AS_IT_IS.includes(file.type)) return file;
  return asPng(drawn(bitmap, [0, 0, bitmap.width, bitmap.height], Infinity));
}

export const withoutEnding = (fileName) => fileName.replace(/\.[^.]*$/, "");

// What the parts of the page share.

export const state = {
  picture: null, // {name, blob, bitmap, width, height}
  examples: [], // {name, fileName, blob, canvas, box, of}; those cut from a picture know their box in it
  known: [], // {name, chosen}: what the server knows by name
  answer: null, // {told, parts: [{detection, group, label, item, tick}]}
  draft: null, // [x1, y1, x2, y2] of the box that is being drawn, pixels of the picture
  running: null, // AbortController of the request under way
  model: {}, // what the server tells of its network
};

export const chosen = () => state.known.filter((one) => one.chosen);

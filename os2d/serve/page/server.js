// Asking the server, with patience and a key, and its errors as sentences.

import { $, busy } from "./elements.js";

const BUSY_TRIES = 5;
const LOADING_TRIES = 60; // a network is loaded once, and some are large
const FIELDS = { // of a request, as the page calls them
  image: "The picture",
  class_image: "A picture of what to look for",
  class_name: "A name",
  class: "A class known to the server",
};

/** A sentence for the reader. */
export class Problem extends Error {}

/** What the server says, a busy one asked again when it says so; raises Problem. */
export async function ask(path, options = {}) {
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

const pause = (seconds, signal) =>
  new Promise((done, fail) => {
    setTimeout(done, 1000 * seconds);
    signal?.addEventListener("abort", () => fail(signal.reason), { once: true });
  });

function askForKey(tried) {
  $("key").hidden = false;
  return new Problem(tried ? "The server does not take this key." : "The server asks for a key.");
}

function sentence(status, message, field) {
  if (!message) return `The server answered with status ${status} and no explanation.`;
  const named = field && !message.startsWith("the picture");
  const whole = named ? `${FIELDS[field] ?? field}: ${message}` : message[0].toUpperCase() + message.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

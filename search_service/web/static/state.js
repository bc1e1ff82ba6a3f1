// What all views share: which collections there are, and which gallery is looked at.

import { api } from "./api.js";
import { byId, h } from "./dom.js";

export const state = { collections: [], gallery: "", theme: "auto" };
/** The last search, which the map shows: { gallery, response }. */
export const lastSearch = { gallery: "", response: null };
const listeners = new Set();

/** Keep a choice for the next visit, where this browser lets a page keep anything. */
export function savePreference(name, value) {
  try { localStorage.setItem(name, value); } catch { /* it does not */ }
}

/** A choice that was kept. */
export function readPreference(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

/** Call `listener` when another gallery is chosen, or the collections have been read again. */
export function onGallery(listener) {
  listeners.add(listener);
}

/** The live collections of the gallery that is looked at. */
export const liveCollections = () => state.collections.filter((one) => one.live && one.gallery === state.gallery);

export const galleries = () => [...new Set(state.collections.filter((one) => one.live).map((one) => one.gallery))].sort();

/** Read the collections; throws where they cannot be read. */
export async function readCollections() {
  state.collections = await api.collections();
  const names = galleries();
  const select = byId("gallery");
  select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
  select.disabled = names.length === 0;
  if (!names.includes(state.gallery)) {
    const remembered = readPreference("gallery");
    const largest = [...state.collections].filter((one) => one.live).sort((a, b) => b.points - a.points)[0];
    chooseGallery(names.includes(remembered) ? remembered : largest?.gallery ?? "");
  } else {
    select.value = state.gallery;
    listeners.forEach((listener) => listener(false));
  }
}

export function chooseGallery(gallery) {
  state.gallery = gallery;
  byId("gallery").value = gallery;
  if (gallery) savePreference("gallery", gallery);
  listeners.forEach((listener) => listener(true));
}

// The state that all views share: the collections and the selected gallery.

import { api } from "./api.js";
import { byId, h } from "./dom.js";

export const state = { collections: [], gallery: "", theme: "auto" };
/** The last search, which the map shows: { gallery, response }. */
export const lastSearch = { gallery: "", response: null };
const listeners = new Set();

/** Store a preference for the next visit, if the browser allows it. */
export function savePreference(name, value) {
  try { localStorage.setItem(name, value); } catch { /* storage is disabled */ }
}

/** A stored preference, or null. */
export function readPreference(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

/** Call `listener` when another gallery is selected (true), or the collections were read again (false). */
export function onGallery(listener) {
  listeners.add(listener);
}

/** The live collections of the selected gallery. */
export const liveCollections = () => state.collections.filter((one) => one.live && one.gallery === state.gallery);

export const galleries = () => [...new Set(state.collections.filter((one) => one.live).map((one) => one.gallery))].sort();

/** Read the collections; throws ApiError. */
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

// The details of a point: its photo, stored fields and ranks, and searches like it or unlike it.

import { byId, h, photoUrl, thumbnail } from "./dom.js";
import { lessLikeThis, moreLikeThis, query } from "./query.js";
import { landmarkName, number } from "./format.js";

const FIRST = ["path", "source", "landmark", "width", "height", "indexed_at", "sha256", "uri"];

/** Open the details of a point; `standings` are its ranks in the models' rankings. */
export function openDetail(gallery, point, standings = []) {
  const dialog = byId("detail");
  const close = () => dialog.close();
  const name = landmarkName(point.landmark) || "Unknown landmark";
  const fields = Object.entries(point.payload ?? {}).sort(([a], [b]) => place(a) - place(b));
  const frame = thumbnail(gallery, point.id, 960, `Photo of ${name}`);
  const reason = h("p", { class: "notice warn", hidden: true });
  frame.querySelector("img").addEventListener("error", () => explain(gallery, point.id, reason));
  dialog.replaceChildren(h("div", { class: "detail-layout" },
    frame,
    h("div", { class: "detail-body" },
      h("div", { class: "detail-head" },
        h("h2", { id: "detail-title" }, name),
        h("button", { type: "button", class: "button small", onclick: close }, "Close")),
      reason,
      h("div", { class: "actions" },
        h("button", { type: "button", class: "button primary small", onclick: () => { close(); moreLikeThis(gallery, point.id); } }, "More like this"),
        (query.photo || query.point) && query.point !== point.id ? h("button", { type: "button", class: "button small", onclick: () => { close(); lessLikeThis(gallery, point.id); } }, "Less like this") : null,
        h("a", { class: "button small", href: photoUrl(gallery, point.id, "original"), target: "_blank", rel: "noopener" }, "Original")),
      standings.length ? h("dl", { class: "facts", "aria-label": "Ranks" },
        ...standings.flatMap((one) => [h("dt", {}, one.model), h("dd", {}, `rank ${one.rank}, similarity ${one.score.toFixed(4)}`)])) : null,
      h("dl", { class: "facts", "aria-label": "Stored fields" },
        ...fields.flatMap(([field, value]) => [h("dt", {}, field), h("dd", {}, words(value))]),
        h("dt", {}, "id"), h("dd", {}, point.id)))));
  dialog.onclick = (event) => { if (event.target === dialog) close(); };
  dialog.showModal();
}

/** Say why a photo cannot be shown. */
async function explain(gallery, id, place) {
  try {
    const response = await fetch(photoUrl(gallery, id, "thumbnail", 960));
    if (!response.ok) place.textContent = (await response.json()).error.message;
  } catch {
    place.textContent = "The search service does not answer.";
  }
  place.hidden = place.textContent === "";
}

const place = (field) => (FIRST.includes(field) ? FIRST.indexOf(field) : FIRST.length);
/** Return a field's value as text; a number of four digits may be a year, and has no separator. */
function words(value) {
  if (Array.isArray(value)) return value.map(words).join(", ");
  if (value !== null && typeof value === "object") return `${value.lat}, ${value.lon}`;
  if (typeof value === "number") return Math.abs(value) < 10_000 ? String(value) : number(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value ?? "");
}

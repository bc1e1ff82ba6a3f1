// The collections view: lists collections and their state, and changes them.

import { api } from "./api.js";
import { byId, confirm, failure, h, notify, whileBusy } from "./dom.js";
import { onGallery, readCollections, state } from "./state.js";
import { number, percent, plural, timeAgo } from "./format.js";

let visible = false;

export function start() {
  onGallery(() => { if (visible) render(); });
}

export function hide() { visible = false; }

export async function show() {
  visible = true;
  render();
  try {
    await readCollections();
  } catch (error) {
    byId("view-collections").replaceChildren(heading(), failure(error, h("p", {}, h("button", { type: "button", class: "button small", onclick: show }, "Try again"))));
  }
}

const heading = () => h("div", { class: "view-head" }, h("h1", {}, "Collections"));

function render() {
  const names = [...new Set(state.collections.map((one) => one.gallery))].sort();
  byId("view-collections").replaceChildren(heading(), names.length ? h("div", { class: "collections" }, ...names.map(gallery))
    : h("div", { class: "card empty" }, h("h2", {}, "No collections yet"),
      h("p", {}, "A collection holds the vectors of one gallery by one model. Indexing creates them:"),
      h("code", { class: "command" }, "landmarks index ~/photos --wait")));
}

function gallery(name) {
  const its = state.collections.filter((one) => one.gallery === name);
  return h("section", { "aria-label": `Gallery ${name}` },
    h("div", { class: "gallery-head" }, h("h2", {}, name),
      job("Calibrate", () => calibrate(name), "Calibration has started.")),
    h("div", { class: "collection-grid" }, ...its.map((one) => collection(one, its))));
}

function collection(one, beside) {
  const points = Number(one.points), indexed = Math.min(points, Number(one.indexed_vectors));
  const earlier = beside.some((other) => other.model === one.model && other !== one);
  return h("article", { class: "card collection", "data-collection": one.name, "aria-label": one.name },
    h("div", {}, h("h3", {}, one.model), h("p", { class: "dim" }, `${plural(points, "point", "points")} · `, h("span", { title: one.digest }, `digest ${one.digest.slice(0, 8)}`), ` · ${number(one.dimension)}-d`)),
    h("div", { class: "chips" },
      one.live ? h("span", { class: "chip good" }, "live") : h("span", { class: "chip" }, "not live"),
      one.calibrated ? h("span", { class: "chip accent" }, "calibrated") : h("span", { class: "chip warn" }, "not calibrated"),
      one.mapped ? h("span", { class: "chip accent" }, "map drawn") : null,
      one.copy_check ? h("span", { class: `chip ${one.copy_check.agree ? "good" : "bad"}`, title: `Compared ${timeAgo(one.copy_check.time)}` }, one.copy_check.agree ? "copies agree" : "copies differ") : null,
      one.status === "green" ? null : h("span", { class: `chip ${one.status === "red" ? "bad" : "warn"}` }, status(one.status))),
    ...[one.problem, one.unsafe_layout].filter(Boolean).map((text) => h("p", { class: "problem", role: "alert" }, text)),
    meter("In the index", indexed ? indexed / points : null, indexed ? `${number(indexed)} of ${plural(points, "photo", "photos")}` : "none: searched exactly"),
    meter("Recall of the index", one.recall ?? null, one.recall === undefined ? "not measured yet" : `${percent(one.recall, 1)} over ${plural(one.recall_queries, "query", "queries")}`),
    h("div", { class: "actions" },
      one.live ? job(one.mapped ? "Redraw map" : "Draw map", () => api.drawMap(one.gallery, one.model), "The map is being drawn.") : change("Promote", () => promote(one)),
      one.live && earlier ? change("Roll back", () => rollBack(one)) : null,
      change("Drop", () => drop(one), "button small danger")));
}

const status = (name) => ({ yellow: "building the index", grey: "waiting to build the index", red: "broken" }[name] ?? name);

function meter(name, share, words) {
  return h("div", { class: "meter" },
    h("div", { class: "line" }, h("span", {}, name), h("span", {}, words)),
    share !== null && h("div", { class: "bar", role: "img", "aria-label": `${name}: ${words}` }, h("span", { "width%": Math.round(100 * share) })));
}

function job(words, begin, message) {
  return h("button", { type: "button", class: "button small", onclick: (event) => whileBusy(event.currentTarget, async () => {
    if ((await begin()) === false) return;
    notify("good", `${message} `, h("a", { href: "#jobs" }, "See the job"));
  }) }, words);
}

function change(words, work, kind = "button small") {
  return h("button", { type: "button", class: kind, onclick: (event) => whileBusy(event.currentTarget, async () => {
    if (await work()) await readCollections();
  }) }, words);
}

async function calibrate(name) {
  const agreed = await confirm({
    title: `Calibrate “${name}”?`, action: "Calibrate", kind: "primary",
    text: "Learns from the gallery’s labelled photos how far verdicts can be trusted, for each model and for all together. Repeat it after large changes to the gallery.",
    field: "Photos of landmarks that are not in the gallery, if an encoder was trained on the gallery’s landmarks: a folder or manifest (optional)",
  });
  return agreed ? api.calibrate(name, agreed.written) : false;
}

async function promote(one) {
  if (!(await confirm({ title: "Promote this collection?", action: "Promote", text: `From now on, searches of “${one.gallery}” with ${one.model} use ${one.name}.` }))) return false;
  await api.promote(one.name);
  return true;
}

async function rollBack(one) {
  if (!(await confirm({ title: "Roll back to the previous collection?", action: "Roll back", text: `From now on, searches of “${one.gallery}” with ${one.model} use the collection that was live before ${one.name}.` }))) return false;
  await api.rollBack(one.gallery, one.model);
  return true;
}

async function drop(one) {
  const agreed = await confirm({
    title: "Drop this collection?", action: "Drop",
    text: `${one.name} and its ${plural(one.points, "point", "points")} will be deleted. The photos are not touched, and can be indexed again.`,
    tick: one.live ? "It is live: searches with this model will then find nothing" : "",
  });
  if (!agreed) return false;
  await api.drop(one.name, agreed.ticked);
  return true;
}

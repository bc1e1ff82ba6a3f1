// The map view: a collection's vectors in two dimensions, and the place of the last search among them.

import { api } from "./api.js";
import { openDetail } from "./detail.js";
import { announce, byId, failure, h, notify, s, thumbnail, whileBusy } from "./dom.js";
import { pointMark, starMark } from "./map_marks.js";
import { lastSearch, liveCollections, onGallery, state } from "./state.js";
import { landmarkName, number, percent, timeAgo } from "./format.js";

// Distinct in light and dark, and for most colour-blind people; points without a landmark are grey.
const HUES = [172, 28, 265, 340, 95, 210, 48, 300, 145, 5, 235, 75, 320, 190, 120];
const NEIGHBOURS = 5;
const MARGIN = 26;

let model = "";
let map = null; // { gallery, points, … }
let pointed = -1; // index of the point under the pointer
let onlyLandmark = null; // the highlighted landmark
let visible = false;
const parts = {};

export function start() {
  onGallery((another) => { if (another) { map = null; model = ""; } if (visible) show(); });
  new ResizeObserver(redraw).observe(byId("view-map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export function hide() {
  visible = false;
  map = null; // it may be redrawn meanwhile
}

export function show() {
  visible = true;
  const models = liveCollections().map((one) => one.model);
  if (!models.includes(model)) model = liveCollections().find((one) => one.mapped)?.model ?? models[0] ?? "";
  const view = byId("view-map");
  const select = h("select", { id: "map-model", onchange: (event) => { model = event.target.value; map = null; load(); } },
    ...models.map((name) => h("option", { value: name, selected: name === model }, name)));
  parts.board = h("div", {});
  parts.again = drawButton("Redraw", "button small");
  parts.again.hidden = true;
  view.replaceChildren(
    h("div", { class: "view-head" }, h("h1", {}, "Map"),
      models.length ? h("label", { class: "inline" }, "Model", select) : null,
      parts.again),
    parts.board);
  if (!model) {
    parts.board.replaceChildren(h("div", { class: "card empty" }, h("h2", {}, "Nothing to draw yet"),
      h("p", {}, "Index some photos first: "), h("code", { class: "command" }, "landmarks index ~/photos --wait")));
    return;
  }
  load();
}

function drawButton(words, kind) {
  return h("button", { type: "button", class: kind, onclick: (event) => whileBusy(event.currentTarget, async () => {
    await api.drawMap(state.gallery, model);
    location.hash = "#jobs";
    notify("good", "The map is being drawn; come back when the job is done.");
  }) }, words);
}

async function load() {
  const requested = [state.gallery, model];
  parts.again.hidden = true;
  try {
    if (!map) {
      parts.board.replaceChildren(h("div", { class: "card actions" }, h("span", { class: "spinner" }), "Reading the map …"));
      const found = await api.map(...requested);
      if (requested[0] !== state.gallery || requested[1] !== model) return;
      map = { ...found, gallery: requested[0], points: found.points ?? [] };
      onlyLandmark = null;
      pointed = -1;
    }
    showMap();
    parts.again.hidden = false;
  } catch (error) {
    if (error.kind !== "NotFoundError") {
      parts.board.replaceChildren(failure(error));
      return;
    }
    parts.board.replaceChildren(h("div", { class: "card empty" },
      h("h2", {}, "No map yet"),
      h("p", {}, `A map shows every photo of “${state.gallery}” as a point, close to the photos that ${model} finds similar (t-SNE). A job draws it once, and it is stored.`),
      drawButton("Draw the map", "button primary")));
  }
}

function showMap() {
  const names = [...map.points.reduce((counts, one) => counts.set(one.landmark, (counts.get(one.landmark) ?? 0) + 1), new Map())]
    .sort((a, b) => b[1] - a[1]);
  map.colours = new Map(names.map(([name], i) => [name, name ? [HUES[i % HUES.length], Math.floor(i / HUES.length)] : null]));
  map.query = queryPlace();
  const canvas = h("canvas", { tabindex: 0, role: "application",
    "aria-label": `Map of ${number(map.points.length)} photos. Arrow keys move to the next photo in that direction, Enter opens it.`,
    onkeydown: byKey, onpointermove: byPointer, onpointerleave: () => point(-1), onclick: open,
    onfocus: () => { if (pointed < 0 && canvas.matches(":focus-visible")) point(middle()); }, onblur: () => point(-1) });
  parts.canvas = canvas;
  parts.tip = h("div", { class: "map-tip", hidden: true });
  const legend = h("div", { class: "legend", role: "group", "aria-label": "Landmarks; press one to highlight it" },
    ...names.map(([name, count]) => h("button", { type: "button", "aria-pressed": "false", onclick: (event) => pick(name, event.currentTarget) },
      swatch(name), landmarkName(name) || "unknown", h("span", { class: "count" }, number(count)))));
  parts.board.replaceChildren(h("div", { class: "map-layout" },
    h("div", { class: "card map-board" }, canvas, parts.tip),
    h("aside", { class: "card map-side" },
      h("div", {}, h("h2", {}, "Landmarks"), legend),
      h("div", { class: "shapes" },
        h("span", {}, shape("point"), "in a cluster"),
        h("span", {}, shape("lone"), `in no cluster (${number(map.points.filter((one) => one.in_no_cluster).length)})`),
        h("span", {}, shape("star"), map.query ? "your photo, among its nearest" : "your photo, after a search")),
      h("p", { class: "dim" }, facts()))));
  redraw();
}

function facts() {
  const sample = Number(map.collection_points) > map.points.length ? `a sample of ${number(map.points.length)} of ${number(map.collection_points)} photos` : `${number(map.points.length)} photos`;
  return `${sample}; drawn ${timeAgo(map.draw_time)}. t-SNE, perplexity ${Math.round(map.perplexity)}; ${percent(map.trustworthiness)} of neighbourhoods kept.`;
}

/** The place of the last search's photo: the mean of its nearest mapped hits, weighted by similarity. */
function queryPlace() {
  if (lastSearch.gallery !== map.gallery) return null;
  const hits = lastSearch.response?.rankings.find((one) => one.model === model)?.hits ?? [];
  const places = new Map(map.points.map((one) => [one.point_id, one]));
  const near = hits.filter((hit) => places.has(hit.point.id)).slice(0, NEIGHBOURS)
    .map((hit) => ({ weight: Math.max(hit.score, 0) ** 3, ...places.get(hit.point.id) }));
  const whole = near.reduce((sum, one) => sum + one.weight, 0);
  if (!whole) return null;
  const mean = (side) => near.reduce((sum, one) => sum + one.weight * one[side], 0) / whole;
  return { x: mean("x"), y: mean("y") };
}

const isDark = () => state.theme === "dark" || (state.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);

function colour(name) {
  const given = map.colours.get(name);
  if (!given) return isDark() ? "#8b909b" : "#8a867d";
  const [hue, round] = given;
  return isDark() ? `hsl(${hue} ${round ? 40 : 65}% ${round % 2 ? 74 : 62}%)` : `hsl(${hue} ${round ? 40 : 62}% ${round % 2 ? 30 : 42}%)`;
}

function swatch(name) {
  return s("svg", { width: 12, height: 12, "aria-hidden": true }, s("circle", { cx: 6, cy: 6, r: 5.5, fill: colour(name) }));
}

function shape(kind) {
  const d = { point: "M2 8a6 6 0 1 0 12 0a6 6 0 1 0-12 0", lone: "M8 2 14.5 14h-13z", star: "M8 1l2 5 5 .4-4 3.4 1.3 5L8 12.1 3.7 14.8 5 9.8 1 6.4 6 6z" }[kind];
  return s("svg", { width: 16, height: 16, "aria-hidden": true }, s("path", { d, fill: "currentColor" }));
}

const placeOf = (one, width, height) => [MARGIN + one.x * (width - 2 * MARGIN), MARGIN + one.y * (height - 2 * MARGIN)];

/** Draw everything again. */
export function redraw() {
  const { canvas } = parts;
  if (!visible || !map || !canvas?.isConnected) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  const size = map.points.length > 3000 ? 2.6 : map.points.length > 600 ? 3.8 : 5.2;
  const paper = isDark() ? "#171a20" : "#ffffff";
  for (const dimmed of [true, false]) { // highlighted points come on top
    map.points.forEach((one) => {
      if ((onlyLandmark !== null && one.landmark !== onlyLandmark) !== dimmed) return;
      pen.globalAlpha = dimmed ? 0.13 : 0.88;
      pointMark(pen, placeOf(one, width, height), size, colour(one.landmark), one.in_no_cluster);
    });
  }
  pen.globalAlpha = 1;
  if (map.query) starMark(pen, placeOf(map.query, width, height), 13, isDark() ? "#ffffff" : "#111111", paper);
  if (pointed >= 0) {
    const [x, y] = placeOf(map.points[pointed], width, height);
    pen.strokeStyle = isDark() ? "#ffffff" : "#111111";
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x, y, size + 5, 0, 2 * Math.PI);
    pen.stroke();
  }
  for (const [i, button] of [...document.querySelectorAll(".legend button")].entries()) {
    button.firstChild.firstChild.setAttribute("fill", colour([...map.colours.keys()][i]));
  }
}

function pick(name, button) {
  onlyLandmark = onlyLandmark === name ? null : name;
  for (const one of button.parentElement.children) one.setAttribute("aria-pressed", String(one === button && onlyLandmark !== null));
  redraw();
}

function middle() {
  const distance = (one) => (one.x - 0.5) ** 2 + (one.y - 0.5) ** 2;
  return map.points.reduce((best, one, i) => (distance(one) < distance(map.points[best]) ? i : best), 0);
}

function byPointer(event) {
  const area = parts.canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - area.left, event.clientY - area.top];
  let nearest = -1, least = 16 ** 2;
  map.points.forEach((one, i) => {
    if (onlyLandmark !== null && one.landmark !== onlyLandmark) return;
    const [px, py] = placeOf(one, area.width, area.height);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [nearest, least] = [i, distance];
  });
  point(nearest);
}

function byKey(event) {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); return; }
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return;
  event.preventDefault();
  const here = map.points[pointed < 0 ? middle() : pointed];
  let best = -1, least = Infinity;
  map.points.forEach((one, i) => { // the nearest within 45 degrees of the direction
    if (onlyLandmark !== null && one.landmark !== onlyLandmark) return;
    const along = (one.x - here.x) * way[0] + (one.y - here.y) * way[1];
    const aside = Math.abs((one.x - here.x) * way[1]) + Math.abs((one.y - here.y) * way[0]);
    if (along > 1e-6 && aside <= along && along + 2 * aside < least) [best, least] = [i, along + 2 * aside];
  });
  if (best >= 0) point(best, true);
}

/** Select a point of the map: show its photo beside it, and announce it if `aloud`. */
function point(i, aloud = false) {
  if (i === pointed) return;
  pointed = i;
  redraw();
  const { tip, canvas } = parts;
  tip.hidden = i < 0;
  if (i < 0) return;
  const one = map.points[i];
  const [x, y] = placeOf(one, canvas.clientWidth, canvas.clientHeight);
  tip.replaceChildren(thumbnail(map.gallery, one.point_id, 320),
    h("p", {}, landmarkName(one.landmark) || "unknown", one.in_no_cluster ? h("span", { class: "dim" }, "in no cluster") : null));
  const sideways = x > canvas.clientWidth / 2 ? x - 190 - 16 : x + 16;
  Object.assign(tip.style, { left: `${Math.max(4, sideways)}px`, top: `${Math.min(Math.max(8, y - 80), canvas.clientHeight - 200)}px` });
  if (aloud) announce(`${landmarkName(one.landmark) || "unknown"}${one.in_no_cluster ? ", in no cluster" : ""}`);
}

async function open() {
  if (pointed < 0) return;
  const one = map.points[pointed];
  try {
    openDetail(map.gallery, (await api.point(map.gallery, one.point_id)).point);
  } catch (error) {
    notify("bad", error.message);
  }
}

// The search view: its options, and running a search.

import { api } from "./api.js";
import { renderAnswer } from "./answer.js";
import { announce, byId, failure, h, photoUrl, thumbnail } from "./dom.js";
import { moreLikeThis, query, start as startQuery } from "./query.js";
import { lastSearch, liveCollections, onGallery, state } from "./state.js";
import { landmarkName, number } from "./format.js";

let running = null;
let seed = 0;

export function start() {
  byId("more").open = !matchMedia("(max-width: 900px)").matches; // keep the answer visible on a phone
  startQuery(search);
  byId("query").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["limit", "collapse"]) byId(id).addEventListener("change", search);
  byId("more-samples").addEventListener("click", () => { seed += 1; showSamples(); });
  byId("filter-clear").addEventListener("click", () => {
    for (const box of byId("filter-list").querySelectorAll("input")) box.checked = false;
    filterChanged();
  });
  byId("filter-text").addEventListener("input", narrowFilter);
  onGallery((another) => {
    const boxes = [...byId("model-list").querySelectorAll("input")];
    const same = boxes.map((box) => box.value).join() === liveCollections().map((one) => one.model).join();
    if (another || !boxes.length || !same) galleryChanged(another ? [] : boxes.filter((box) => !box.checked).map((box) => box.value));
  });
}

function galleryChanged(unchecked) {
  if (!state.gallery) {
    showWelcome();
    return;
  }
  byId("model-list").replaceChildren(...liveCollections().map((one) =>
    h("label", {}, h("input", { type: "checkbox", value: one.model, checked: !unchecked.includes(one.model), onchange: search }), one.model,
      h("span", { class: "count" }, number(one.points)))));
  byId("models").hidden = liveCollections().length < 2;
  showSamples();
  showValues();
  if ((query.point || query.unlike.length) && query.gallery !== state.gallery) byId("clear-query").click();
  else search();
}

async function showSamples() {
  const gallery = state.gallery;
  const points = await api.samples(gallery, seed).catch(() => []);
  if (gallery !== state.gallery) return;
  byId("samples").hidden = points.length === 0;
  byId("sample-list").replaceChildren(...points.map((point) => {
    const frame = thumbnail(gallery, point.id, 160);
    return h("li", {}, h("button", { type: "button", title: landmarkName(point.landmark),
      "aria-label": `Search by a photo of ${landmarkName(point.landmark) || "unknown"}`,
      onclick: () => moreLikeThis(gallery, point.id) }, ...frame.childNodes));
  }));
}

async function showValues() {
  const gallery = state.gallery, list = byId("filter-list");
  byId("filter-clear").hidden = true;
  byId("filter-count").textContent = "";
  try {
    const values = await api.values(gallery);
    if (gallery !== state.gallery) return;
    list.replaceChildren(...values.map((one) =>
      h("label", {}, h("input", { type: "checkbox", value: one.value.text, onchange: filterChanged }), landmarkName(one.value.text),
        h("span", { class: "count" }, number(one.points)))));
    byId("filter-count").textContent = `(${number(values.length)})`;
    byId("filter-text").hidden = values.length < 12;
  } catch (error) {
    list.replaceChildren(h("p", { class: "dim" }, error.message));
  }
}

function filterChanged() {
  const chosen = checked("filter-list");
  byId("filter-clear").hidden = chosen.length === 0;
  const all = byId("filter-list").querySelectorAll("input").length;
  byId("filter-count").textContent = chosen.length ? `(${chosen.length} of ${number(all)})` : `(${number(all)})`;
  search();
}

function narrowFilter() {
  const text = byId("filter-text").value.trim().toLowerCase();
  for (const label of byId("filter-list").children) {
    label.hidden = !label.textContent.toLowerCase().includes(text) && !label.querySelector("input").checked;
  }
}

const checked = (id) => [...byId(id).querySelectorAll("input:checked")].map((box) => box.value);

async function search() {
  running?.abort();
  if (!state.gallery) return;
  if (!query.photo && !query.point) {
    showWelcome();
    return;
  }
  const models = checked("model-list");
  const answer = byId("answer");
  if (models.length === 0) {
    answer.replaceChildren(h("div", { class: "notice warn" }, h("div", {}, "Choose at least one model.")));
    return;
  }
  const mine = new AbortController();
  running = mine;
  answer.setAttribute("aria-busy", "true");
  if (!answer.querySelector(".verdict")) answer.replaceChildren(h("div", { class: "card actions" }, h("span", { class: "spinner" }), "Searching …"));
  try {
    const gallery = state.gallery;
    const body = {
      gallery,
      models: models.length === liveCollections().length ? [] : models,
      limit: Number(byId("limit").value) || 10,
      collapse_identical: byId("collapse").checked,
      where: { landmark: checked("filter-list") },
      box: query.box,
      negative: query.unlike,
    };
    let photo = query.photo;
    if (query.point && query.box) { // a box needs the photo itself
      photo = await api.original(photoUrl(gallery, query.point, "original"), mine.signal);
    } else if (query.point) body.point_id = query.point;
    const response = await api.search(body, photo, mine.signal);
    if (running !== mine) return;
    Object.assign(lastSearch, { gallery, response });
    announce(renderAnswer(answer, gallery, response));
  } catch (error) {
    if (error.name === "AbortError" || running !== mine) return;
    answer.replaceChildren(failure(error));
  } finally {
    if (running === mine) answer.setAttribute("aria-busy", "false");
  }
}

function showWelcome() {
  Object.assign(lastSearch, { gallery: "", response: null });
  const answer = byId("answer");
  answer.setAttribute("aria-busy", "false");
  if (state.gallery) {
    const photos = liveCollections()[0]?.points ?? 0;
    answer.replaceChildren(h("div", { class: "card welcome" },
      h("h1", {}, "Which landmark is it?"),
      h("p", {}, `Choose a photo to see the most similar of the ${number(photos)} photos in “${state.gallery}”, by each model and by all together.`),
      h("p", {}, "Your photo is neither stored nor logged.")));
    return;
  }
  byId("samples").hidden = true;
  answer.replaceChildren(h("div", { class: "card empty" },
    h("h1", {}, "Nothing is indexed yet"),
    h("p", {}, "Index some photos first, in sub-folders named after their landmarks. From a terminal:"),
    h("code", { class: "command" }, "landmarks index ~/photos --wait"),
    h("p", {}, "or ", h("a", { href: "#jobs" }, "start a job here"), ".")));
}

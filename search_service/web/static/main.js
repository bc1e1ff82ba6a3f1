// Starts the page: switches views, gallery and colours.

import { byId, failure, h } from "./dom.js";
import { chooseGallery, savePreference, readPreference, readCollections, state } from "./state.js";
import * as collections from "./collections.js";
import * as jobs from "./jobs.js";
import * as login from "./login.js";
import * as map from "./map.js";
import * as search from "./search.js";

const VIEWS = { search, map, jobs, collections };
const THEMES = { auto: ["◐", "system"], light: ["☀", "light"], dark: ["☾", "dark"] };
let shown = null;

function show() {
  const hash = location.hash.slice(1);
  if (hash && shown && !Object.hasOwn(VIEWS, hash)) return; // an anchor within the view
  const name = Object.hasOwn(VIEWS, hash) ? hash : "search";
  if (name === shown) return;
  if (shown) VIEWS[shown].hide?.();
  for (const view of Object.keys(VIEWS)) byId(`view-${view}`).hidden = view !== name;
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} – Landmarks`;
  const before = shown;
  shown = name;
  VIEWS[name].show?.();
  if (before) byId("main").focus({ preventScroll: true });
}

function theme(name) {
  const [sign, words] = THEMES[name];
  state.theme = name;
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = sign;
  byId("theme").setAttribute("aria-label", `Colours: ${words}`);
  byId("theme").title = `Colours: ${words}`;
  savePreference("theme", name);
  map.redraw();
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme(names[(names.indexOf(state.theme) + 1) % names.length]);
});
byId("gallery").addEventListener("change", (event) => chooseGallery(event.target.value));
window.addEventListener("hashchange", show);

login.start();
for (const view of Object.values(VIEWS)) view.start();
const remembered = readPreference("theme");
theme(THEMES[remembered] ? remembered : "auto");
show();

async function begin() {
  try {
    await readCollections();
  } catch (error) {
    byId("answer").replaceChildren(failure(error,
      h("p", {}, h("button", { type: "button", class: "button small", onclick: begin }, "Try again"))));
  }
}
begin();

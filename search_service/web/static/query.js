// The query: a photo that is dropped, pasted, chosen or a sample, and the selected part of it.

import { byId, h, photoUrl, thumbnail } from "./dom.js";

const SIDES = ["left", "top", "right", "bottom"];
const LONGEST = 1600;
// A drag shorter than this, as a share of the photo, is a click.
const LEAST = 0.02;
const MOST_UNLIKE = 12;

let onChange = () => {};
/** The query: { photo } or { gallery, point }; `box`, fractions of the photo, or null; `unlike`, the ids
 *  of points of `gallery` that hits should be unlike. */
export const query = { photo: null, point: null, gallery: "", box: null, unlike: [] };

/** Attach the listeners; `listener` is called when the query changes. */
export function start(listener) {
  onChange = listener;
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) usePhoto(file);
    event.target.value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); usePhoto(file); }
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragging"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const [file] = event.dataTransfer.files;
    if (file) usePhoto(file);
  });
  byId("clear-query").addEventListener("click", clear);
  byId("search-again").addEventListener("click", () => onChange());
  byId("box-clear").addEventListener("click", () => setBox(null));
  byId("unlike-clear").addEventListener("click", () => setUnlike(query.gallery, []));
  for (const side of SIDES) byId(`box-${side}`).addEventListener("change", boxFromFields);
  startDrawing(byId("picture"));
}

export async function usePhoto(file) {
  location.hash = "#search";
  Object.assign(query, { photo: file, point: null, box: null });
  showUnlike(query.gallery, []);
  if (await preview(() => createImageBitmap(file))) onChange();
}

/** Search by a point's photo. */
export async function moreLikeThis(gallery, id) {
  location.hash = "#search";
  Object.assign(query, { photo: null, point: id, gallery, box: null });
  showUnlike(gallery, []);
  const still = await preview(async () => {
    const image = new Image();
    image.src = photoUrl(gallery, id, "thumbnail", 960);
    await image.decode();
    return image;
  });
  if (still) onChange();
}

/** Add a point of a gallery that hits should be unlike. */
export function lessLikeThis(gallery, id) {
  setUnlike(gallery, [...query.unlike.filter((one) => one !== id), id].slice(-MOST_UNLIKE));
}

function setUnlike(gallery, ids) {
  showUnlike(gallery, ids);
  onChange();
}

function showUnlike(gallery, ids) {
  Object.assign(query, { gallery, unlike: ids });
  byId("unlike").hidden = ids.length === 0;
  byId("unlike-list").replaceChildren(...ids.map((id) => h("li", {}, h("button", {
    type: "button", title: "Remove", "aria-label": "Remove this photo from Less like",
    onclick: () => setUnlike(gallery, query.unlike.filter((one) => one !== id)),
  }, ...thumbnail(gallery, id, 160).childNodes))));
}

function clear() {
  previews += 1;
  Object.assign(query, { photo: null, point: null, box: null });
  showUnlike(query.gallery, []);
  for (const id of ["picture", "stage-tools", "box-fields"]) byId(id).hidden = true;
  byId("query").classList.remove("asked");
  byId("drop").hidden = false;
  onChange();
}

let previews = 0;
/** Show the photo on a canvas, which needs no URL. Resolves to false if another photo replaced it meanwhile. */
async function preview(load) {
  previews += 1;
  const mine = previews;
  const image = await load().catch(() => null);
  if (mine !== previews) return false;
  const canvas = byId("canvas");
  if (image) {
    const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  } else { // the service may still be able to read it, and reports an error if not
    canvas.width = 640;
    canvas.height = 300;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#888";
    pen.font = "28px system-ui";
    pen.textAlign = "center";
    pen.fillText("This browser cannot show this file", 320, 155);
  }
  byId("drop").hidden = true;
  for (const id of ["picture", "stage-tools", "box-fields"]) byId(id).hidden = false;
  byId("query").classList.add("asked");
  showBox();
  return true;
}

function startDrawing(picture) {
  let from = null;
  const place = (event) => {
    const area = byId("canvas").getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
  };
  const between = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  picture.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = place(event);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (from) { query.box = between(from, place(event)); showBox(); }
  });
  picture.addEventListener("pointerup", (event) => {
    if (!from) return;
    const box = between(from, place(event));
    from = null;
    setBox(box[2] - box[0] < LEAST || box[3] - box[1] < LEAST ? null : box);
  });
  picture.addEventListener("pointercancel", () => { from = null; });
  picture.addEventListener("keydown", boxByKey);
}

let soon = 0;
function boxByKey(event) {
  const step = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.02], ArrowDown: [0, 0.02] }[event.key];
  if (event.key === "Escape" && query.box) setBox(null);
  if (!step) return;
  event.preventDefault();
  const [left, top, right, bottom] = query.box ?? [0.25, 0.25, 0.75, 0.75];
  const inside = (value, least, most) => Math.min(most, Math.max(least, value));
  if (event.shiftKey) {
    query.box = [left, top, inside(right + step[0], left + LEAST, 1), inside(bottom + step[1], top + LEAST, 1)];
  } else {
    const x = inside(step[0], -left, 1 - right), y = inside(step[1], -top, 1 - bottom);
    query.box = [left + x, top + y, right + x, bottom + y];
  }
  showBox();
  clearTimeout(soon);
  soon = setTimeout(() => { // once for several key presses
    byId("box").searched = query.box;
    onChange();
  }, 400);
}

function boxFromFields() {
  const sides = SIDES.map((side, i) => {
    const text = byId(`box-${side}`).value;
    return text === "" ? (i < 2 ? 0 : 1) : Number(text) / 100;
  });
  const whole = sides[0] === 0 && sides[1] === 0 && sides[2] === 1 && sides[3] === 1;
  setBox(whole ? null : sides);
}

function setBox(box) {
  const same = JSON.stringify(box) === JSON.stringify(byId("box").searched ?? null);
  query.box = box;
  showBox();
  if (same) return;
  byId("box").searched = box;
  onChange();
}

function showBox() {
  const box = byId("box");
  box.hidden = !query.box;
  byId("box-clear").hidden = !query.box;
  if (!query.box) box.searched = null;
  SIDES.forEach((side, i) => {
    byId(`box-${side}`).value = query.box ? Math.round(100 * query.box[i]) : i < 2 ? 0 : 100;
  });
  if (!query.box) return;
  const [left, top, right, bottom] = query.box;
  Object.assign(box.style, {
    left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
  });
}

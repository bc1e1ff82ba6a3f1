// The jobs view: starts jobs, follows their progress, lists dead letters.

import { api } from "./api.js";
import { announce, byId, confirm, failure, h, notify, whileBusy } from "./dom.js";
import { readCollections, state } from "./state.js";
import { timeLeft, number, plural, timeAgo } from "./format.js";

const KINDS = { JOB_KIND_INDEX: "Index", JOB_KIND_REINDEX: "Rebuild", JOB_KIND_CALIBRATE: "Calibrate", JOB_KIND_MAP: "Draw the map of", JOB_KIND_CHECK: "Compare copies of", JOB_KIND_REPAIR: "Repair copies of" };
const STATES = {
  JOB_STATE_QUEUED: ["queued", ""], JOB_STATE_RUNNING: ["running", "accent"], JOB_STATE_SUCCEEDED: ["done", "good"],
  JOB_STATE_FAILED: ["failed", "bad"], JOB_STATE_CANCELLED: ["cancelled", "warn"],
};
/** A job's state in words, and its colour: one with nothing but dead letters has not gone well. */
function stateOf(job) {
  const sum = (name) => job.progress.reduce((total, one) => total + Number(one[name]), 0);
  const none = job.state === "JOB_STATE_SUCCEEDED" && sum("dead") && !sum("stored") && !sum("unchanged");
  return none ? ["none indexed", "bad"] : STATES[job.state] ?? ["unknown", ""];
}
const isRunning = (job) => ["JOB_STATE_QUEUED", "JOB_STATE_RUNNING"].includes(job.state);

let stream = null;
let requestId = ""; // submitting the form twice starts one job
const list = h("div", { class: "job-list" });

export function start() {}

export function hide() { stream?.close(); stream = null; }

export function show() {
  const view = byId("view-jobs");
  if (!view.childElementCount) {
    view.replaceChildren(h("div", { class: "view-head" }, h("h1", {}, "Jobs")), h("div", { class: "stack" }, form(), list));
  }
  byId("job-gallery").value ||= state.gallery || "landmarks";
  readModels();
  read();
}

function form() {
  const field = (id, words, more) => h("label", { class: "field", for: id }, words, h("input", { id, type: "text", required: true, autocomplete: "off", spellcheck: "false", ...more }));
  const tick = (id, words) => h("label", {}, h("input", { type: "checkbox", id }), words);
  return h("details", { class: "card", id: "job-start" },
    h("summary", {}, "Index photos"),
    h("form", { class: "job-form", onsubmit: submit },
      h("p", { class: "wide dim" }, "A folder whose sub-folders are named after landmarks, a manifest (.csv), a list of URLs (.txt), a zip file, or a URI of one; paths are those of the server. Indexing again encodes only what has changed."),
      field("job-source", "Source", { placeholder: "/home/me/photos" }),
      field("job-name", "Name of the source (by default that of its folder)", { required: false, title: "Needed where another source of the gallery has this one's name, or where this one has moved" }),
      field("job-label", "Labels", { required: false, placeholder: "first", title: "Which of a photo's folders is its landmark: first, last, level:2, none, or a pattern such as {year}/{country}/{landmark}; a dry run shows what that gives" }),
      field("job-ignore", "Folders to ignore, separated by commas", { required: false, title: "Names such as private, export*" }),
      field("job-gallery", "Gallery", { pattern: "[a-z0-9]+([_\\-][a-z0-9]+)*", title: "a–z, 0–9 and single _ or -" }),
      h("fieldset", { class: "wide" }, h("legend", {}, "Models"), h("div", { class: "checks", id: "job-models" })),
      h("div", { class: "checks wide" }, tick("job-prune", "Prune: delete points whose photos are gone"), tick("job-dry", "Dry run: count only"), tick("job-verify", "Read every photo again"), tick("job-raw", "Raw files beside their photos too")),
      h("div", { class: "wide actions" }, h("button", { class: "button primary" }, "Start"))));
}

async function readModels() {
  const place = byId("job-models");
  try {
    const names = [...new Map((await api.models()).map((one) => [one.name, one])).values()];
    const chosen = new Set([...place.querySelectorAll("input:not(:checked)")].map((box) => box.value));
    place.replaceChildren(...names.map((one) => h("label", { title: one.ready ? one.description : one.reason },
      h("input", { type: "checkbox", value: one.name, checked: !chosen.has(one.name) }), one.name, one.ready ? null : h("span", { class: "chip warn" }, "not ready"))));
  } catch (error) {
    place.replaceChildren(h("p", { class: "dim" }, error.message));
  }
}

async function submit(event) {
  event.preventDefault();
  const boxes = [...byId("job-models").querySelectorAll("input")];
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  if (boxes.length && !chosen.length) { notify("bad", "Choose at least one model."); return; }
  requestId ||= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const body = {
    source: byId("job-source").value.trim(), source_name: byId("job-name").value.trim(), gallery: byId("job-gallery").value.trim(),
    models: chosen.length === boxes.length ? [] : chosen, request_id: requestId,
    prune: byId("job-prune").checked, dry_run: byId("job-dry").checked, verify: byId("job-verify").checked,
    label: byId("job-label").value.trim(), ignore: byId("job-ignore").value.split(",").map((one) => one.trim()).filter(Boolean), raw_too: byId("job-raw").checked,
  };
  if (body.prune && !body.dry_run && !(await confirm({ title: "Delete points of missing photos?", action: "Start and prune",
    text: "When the source has been listed completely, its points whose photos are gone are deleted; more than a third of them only after another question." }))) return;
  await whileBusy(event.submitter, async () => {
    const job = await api.startJob(body);
    byId("job-start").open = false;
    announce("The job has started");
    await read();
    document.querySelector(`[data-job="${job.id}"]`)?.scrollIntoView({ block: "nearest" });
  });
  requestId = "";
}

/** Index a job's source again, and delete the points that it left for a confirmation. */
async function pruneAll(button, job) {
  const { gallery, source, models, splits, source_name, verify, label, ignore, raw_too } = job.spec;
  if (!(await confirm({ title: `Delete ${plural(Number(job.not_pruned_points), "point", "points")}?`, action: "Index again and prune", text: job.not_pruned }))) return;
  await whileBusy(button, async () => {
    await api.startJob({ gallery, source, models, splits, source_name, verify, label, ignore, raw_too, prune: true, prune_confirmed: true });
    await read();
  });
}

async function read() {
  try {
    const jobs = await api.jobs();
    list.replaceChildren(...jobs.map(card));
    if (!jobs.length) {
      byId("job-start").open = true;
      list.replaceChildren(h("div", { class: "card empty" }, h("h2", {}, "No jobs yet"),
        h("p", {}, "Start one above, or from a terminal:"), h("code", { class: "command" }, "landmarks index ~/photos --wait")));
    }
    follow(jobs.filter(isRunning).map((job) => job.id));
  } catch (error) {
    list.replaceChildren(failure(error, h("p", {}, h("button", { type: "button", class: "button small", onclick: read }, "Try again"))));
  }
}

/** Follow the running jobs. */
function follow(ids) {
  hide();
  if (!ids.length || byId("view-jobs").hidden) return;
  const mine = new EventSource(api.watchUrl(ids.slice(0, 32)));
  stream = mine;
  mine.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    const before = document.querySelector(`[data-job="${job.id}"]`);
    if (before) renew(before, job);
    if (!isRunning(job)) {
      announce(`${title(job)}: ${stateOf(job)[0]}`);
      readCollections().catch(() => {});
    }
  });
  mine.addEventListener("failed", (event) => notify("bad", JSON.parse(event.data).message));
  mine.addEventListener("ended", () => mine.close());
}

/** Replace a job's card, keeping its dead letters open and the focus where it is. */
function renew(before, job) {
  const after = card(job);
  const focused = before.contains(document.activeElement) ? document.activeElement.textContent : null;
  const letters = before.querySelector("details.dead");
  if (letters?.open) after.querySelector("details.dead")?.replaceWith(letters);
  before.replaceWith(after);
  if (focused) ([...after.querySelectorAll("button, summary")].find((one) => one.textContent === focused) ?? after).focus();
}

const title = (job) => `${KINDS[job.kind] ?? "Job"} “${job.spec.gallery}”`;

function card(job) {
  const [words, kind] = stateOf(job);
  const dead = job.progress.reduce((sum, one) => sum + Number(one.dead), 0);
  const marks = [["dry run", job.spec.dry_run], ["prune", job.spec.prune]].filter(([, on]) => on).map(([name]) => h("span", { class: "chip" }, name));
  const button = (name, change) => h("button", { type: "button", class: "button small", onclick: (event) => whileBusy(event.currentTarget, async () => {
    await api.changeJob(job.id, change);
    await read();
  }) }, name);
  const changes = [
    isRunning(job) && button("Cancel", "cancel"),
    ["JOB_STATE_CANCELLED", "JOB_STATE_FAILED"].includes(job.state) && button("Resume", "resume"),
    dead && job.state === "JOB_STATE_SUCCEEDED" && button("Retry dead letters", "retry"),
    Number(job.not_pruned_points) && !job.spec.dry_run && !isRunning(job) && h("button", { type: "button", class: "button small", onclick: (event) => pruneAll(event.currentTarget, job) }, "Prune…"),
  ].filter(Boolean);
  return h("article", { class: "card job", "data-job": job.id, "data-state": job.state, tabindex: -1, "aria-label": title(job) },
    h("div", { class: "job-head" }, h("h2", {}, title(job)), h("span", { class: `chip ${kind}` }, words), ...marks,
      h("time", { datetime: job.create_time, title: new Date(job.create_time).toLocaleString() }, timeAgo(job.create_time))),
    job.kind === "JOB_KIND_INDEX" ? h("p", { class: "source" }, job.spec.source) : null,
    ...job.progress.map((one) => progress(job, one)),
    job.error ? h("div", { class: "notice bad" }, h("div", {}, job.error)) : null,
    job.skipped?.length ? h("p", { class: "counts", title: job.skipped.map((one) => one.example).join("\n") }, `skipped: ${job.skipped.map(skipped).join(" · ")}`) : null,
    job.labels ? labels(job) : null,
    job.outcome ? h("p", {}, job.outcome) : null,
    job.not_pruned ? h("div", { class: "notice warn" }, h("div", {}, job.not_pruned)) : null,
    changes.length ? h("div", { class: "actions" }, ...changes) : null,
    dead ? deadLetters(job, dead) : null);
}

function progress(job, one) {
  const listed = Number(one.listed);
  const done = ["stored", "unchanged", "dead", "duplicate", "cancelled"].reduce((sum, name) => sum + Number(one[name]), 0);
  const counts = ["stored", "unchanged", "dead", "duplicate", "cancelled", "pruned"].filter((name) => Number(one[name])).map((name) => `${number(one[name])} ${name}`);
  const rate = isRunning(job) && one.photos_per_second > 0 ? ` · ${one.photos_per_second.toFixed(1)} photos/s` : "";
  const known = listed > 0 || !isRunning(job);
  const bar = h("progress", { "aria-label": `${one.model}: ${number(done)} of ${number(listed)}`, max: Math.max(listed, 1), value: known ? (listed ? done : 1) : null });
  return h("div", { class: "model-progress" },
    h("div", { class: "line" }, h("strong", {}, one.model),
      h("span", {}, listed ? `${number(done)} of ${number(listed)}${job.listing_complete ? "" : "+"}${rate}${one.time_left ? ` · ${timeLeft(one.time_left)}` : ""}` : "")),
    bar,
    counts.length ? h("p", { class: "counts" }, counts.join(" · ")) : null);
}

const SKIPPED = {
  sidecar: ["sidecar", "sidecars"], video: ["video", "videos"], document: ["document", "documents"], archive: ["archive", "archives"],
  live_photo_video: ["video of a live photo", "videos of live photos"], raw_beside_photo: ["raw file beside its photo", "raw files beside their photos"],
  outside: ["file whose path leads out", "files whose paths lead out"], ignored: ["file to ignore", "files to ignore"],
};
function skipped(one) {
  const { reason } = one;
  const files = Number(one.files) ? plural(one.files, ...(SKIPPED[reason] ?? [`${reason} file`, `${reason} files`])) : null;
  const folders = Number(one.folders) ? plural(one.folders, `${reason} folder`, `${reason} folders`) : null;
  return [files, folders].filter(Boolean).join(" · ");
}

/** How many photos have which label; open in a dry run, which is the preview. */
function labels(job) {
  const { distinct, unlabelled, most } = job.labels;
  const summary = `${plural(Number(distinct), "label", "labels")}, ${number(unlabelled)} without one`;
  if (!most.length) return h("p", { class: "counts" }, summary);
  return h("details", { class: "labels", open: job.spec.dry_run },
    h("summary", {}, summary),
    h("p", { class: "counts" }, most.map((one) => `${one.label} ${number(one.photos)}`).join(" · ")));
}

function deadLetters(job, dead) {
  const place = h("ul", { class: "letters" });
  return h("details", { class: "dead", ontoggle: async (event) => {
    if (!event.target.open || place.childElementCount) return;
    try {
      const letters = await api.deadLetters(job.id);
      place.replaceChildren(...letters.map((one) => h("li", {}, h("strong", {}, `${one.path} (${one.model})`), one.reason)));
    } catch (error) {
      place.replaceChildren(h("li", {}, error.message));
    }
  } }, h("summary", {}, `${plural(dead, "photo", "photos")} could not be indexed`), place);
}

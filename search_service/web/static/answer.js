// An answer: the verdict, then rows of nearest photos: the fused row, and one per model.

import { api } from "./api.js";
import { openDetail } from "./detail.js";
import { h, notify, s, thumbnail, whileBusy } from "./dom.js";
import { landmarkName, percent, plural, confidence, durationText } from "./format.js";

/** Show an answer; return its summary for screen readers. */
export function renderAnswer(place, gallery, response) {
  const ranks = ranksById(response);
  const context = { gallery, ranks, landmark: response.verdict?.landmark ?? "" };
  const rows = response.rankings.map((ranking) => modelRow(ranking, context));
  if (response.rankings.length > 1) rows.unshift(fusedRow(response, context));
  place.replaceChildren(verdict(response, context), ...missing(response), ...rows);
  const headline = place.querySelector(".verdict h1").textContent;
  const failed = response.failures.length ? ` ${response.failures.map((one) => one.model).join(", ")} did not answer.` : "";
  return `${headline}. ${plural(response.fused.length, "photo", "photos")} found.${failed}`;
}

/** The standings of each point in the models' rankings: id → [{ model, rank, score }]. */
function ranksById(response) {
  const ranks = new Map();
  for (const ranking of response.rankings) {
    for (const hit of ranking.hits) {
      if (!ranks.has(hit.point.id)) ranks.set(hit.point.id, []);
      ranks.get(hit.point.id).push({ model: ranking.model, rank: hit.rank, score: hit.score });
    }
  }
  for (const hit of response.fused) if (hit.standings.length) ranks.set(hit.point.id, hit.standings);
  return ranks;
}

function verdict(response, context) {
  const result = response.verdict ?? { outcome: "OUTCOME_NO_HITS" };
  const votes = percent(result.vote_share ?? 0);
  const sure = result.confidence;
  const total = h("p", { class: "total" }, totals(response));
  const card = (kind, label, title, why, ...more) =>
    h("section", { class: `card verdict ${kind}`, "aria-label": "Verdict" },
      h("div", {}, h("p", { class: "label" }, label), h("h1", {}, title)), h("p", { class: "why" }, why), ...more, total);
  switch (result.outcome) {
    case "OUTCOME_KNOWN":
      return card("known", "This is", landmarkName(result.landmark),
        `${confidence(sure)} sure; ${votes} of the votes of the nearest photos.`, gauge(sure, result.threshold, "sure"));
    case "OUTCOME_UNKNOWN":
      return card("unknown", "This is", "none of these",
        `It is none of the gallery’s landmarks, or too close to call. The most likely is ${landmarkName(result.landmark)}, but only ${confidence(sure)} sure; ${percent(result.threshold)} is required.`,
        gauge(sure, result.threshold, "sure"));
    case "OUTCOME_UNCALIBRATED":
      return card("", "Most of the nearest photos show", landmarkName(result.landmark),
        [`${votes} of their votes. The gallery is not calibrated, so the confidence is unknown. Calibrate it from its own photos here or with `,
          h("code", {}, `landmarks calibrate -g ${context.gallery}`)],
        gauge(result.vote_share, null, "of the votes"),
        h("div", { class: "actions" }, calibrateButton(context.gallery)));
    default:
      return card("", "No verdict", "No labelled photo was found",
        response.fused.length ? "The most similar photos have no landmark." : "No photo matches: try fewer filters.");
  }
}

function calibrateButton(gallery) {
  return h("button", { type: "button", class: "button small", onclick: (event) => whileBusy(event.currentTarget, async () => {
    await api.calibrate(gallery);
    notify("good", "Calibration has started. ", h("a", { href: "#jobs" }, "See the job"), "; search again when it is done.");
  }) }, "Calibrate this gallery");
}

/** An arc filled to `share`, with a mark at `threshold`. */
function gauge(share, threshold, words) {
  const arc = (part) => {
    const angle = Math.PI * (1 - part);
    return [50 + 40 * Math.cos(angle), 50 - 40 * Math.sin(angle)];
  };
  const path = (part) => `M10 50A40 40 0 0 1 ${arc(part).map((n) => n.toFixed(2)).join(" ")}`;
  const marks = [];
  if (threshold !== null && threshold !== undefined) {
    const [x, y] = arc(threshold);
    const out = (n, middle, by) => (middle + (n - middle) * by).toFixed(2);
    marks.push(s("path", { class: "mark", "stroke-width": 2.5, d: `M${out(x, 50, 0.84)} ${out(y, 50, 0.84)}L${out(x, 50, 1.16)} ${out(y, 50, 1.16)}` }));
  }
  return h("div", { class: "gauge" },
    s("svg", { viewBox: "0 0 100 58", "aria-hidden": true },
      s("path", { class: "track", d: path(1), fill: "none", "stroke-width": 9, "stroke-linecap": "round" }),
      share > 0.005 ? s("path", { class: "value", d: path(Math.min(share, 1)), fill: "none", "stroke-width": 9, "stroke-linecap": "round" }) : null,
      ...marks, s("text", { x: 50, y: 52, "text-anchor": "middle" }, words === "sure" && share > 0.99 ? ">99%" : `${Math.round(100 * (share ?? 0))}%`)),
    words);
}

function totals(response) {
  const parts = [`Answered in ${durationText(response.total)}`];
  if (response.rankings.length > 1) {
    parts.push(`${response.rankings.length} models`,
      response.fusion_method === "FUSION_METHOD_CALIBRATED_SCORE" ? "fused by calibrated score" : "fused by reciprocal rank");
  }
  return parts.join(" · ");
}

/** The models that did not answer, and why. */
function missing(response) {
  return response.failures.map((one) =>
    h("div", { class: "notice warn", role: "status" },
      h("div", {}, h("strong", {}, `${one.model} did not answer. `), `The answer is from the other models. ${one.status.message}`)));
}

function modelRow(ranking, context) {
  const times = [["encode", ranking.timings?.encode], ["query", ranking.timings?.query]]
    .filter(([, time]) => time).map(([name, time]) => `${name} ${durationText(time)}`).join(" · ");
  return row(ranking.model, times, verdictOf(ranking.verdict), ranking.hits, context, (hit) =>
    (context.ranks.get(hit.point.id) ?? []).filter((one) => one.model !== ranking.model));
}

function verdictOf(result) {
  if (!result?.landmark) return "";
  if (result.outcome === "OUTCOME_UNKNOWN") return "says: none of these";
  const share = result.confidence ?? result.vote_share;
  return `says: ${landmarkName(result.landmark)} (${result.confidence === undefined ? `${percent(share)} of the votes` : `${confidence(share)} sure`})`;
}

function fusedRow(response, context) {
  return row("All models together", "", "", response.fused, context, (hit) => hit.standings, true);
}

function row(name, times, summary, hits, context, elsewhere, fused = false) {
  const list = h("ol", { class: "hits", "aria-label": `${name}: nearest photos; arrow keys move between them`, onkeydown: move });
  hits.forEach((hit, i) => list.append(h("li", {}, hitButton(hit, i, context, elsewhere(hit), fused))));
  return h("section", { class: `card row${fused ? " fused" : ""}`, "aria-label": name, "data-model": fused ? "" : name },
    h("div", { class: "row-head" }, h("h2", {}, name), times && h("span", { class: "dim" }, times), summary && h("span", { class: "said" }, summary)),
    hits.length ? list : h("p", { class: "row-head dim" }, "No photo matches."));
}

function hitButton(hit, i, context, elsewhere, fused) {
  const { point } = hit;
  const name = landmarkName(point.landmark) || "unknown";
  const places = elsewhere.map((one) => `${one.rank} in ${one.model}`);
  const agrees = context.landmark && point.landmark === context.landmark;
  return h("button", {
    type: "button", class: `hit${agrees ? " agrees" : ""}`, tabindex: i === 0 ? 0 : -1, "data-point": point.id, title: point.payload?.path ?? point.uri,
    "aria-label": `${hit.rank}: ${name}, ${fused ? "score" : "similarity"} ${hit.score.toFixed(3)}${places.length ? `, place ${places.join(", ")}` : ""}. Details`,
    onclick: () => openDetail(context.gallery, point, context.ranks.get(point.id) ?? []),
  },
  thumbnail(context.gallery, point.id, 320),
  h("span", { class: "rank" }, String(hit.rank)),
  h("span", { class: "text" },
    h("span", { class: "name" }, name), h("span", { class: "score" }, hit.score.toFixed(3)),
    ...places.map((words) => h("span", { class: "elsewhere" }, words))));
}

/** Left, right, Home and End move along a row, up and down between rows; Tab stops once per row. */
function move(event) {
  const buttons = [...event.currentTarget.querySelectorAll(".hit")];
  const here = buttons.indexOf(document.activeElement);
  const rows = [...document.querySelectorAll("#answer .hits")];
  const beside = rows[rows.indexOf(event.currentTarget) + { ArrowUp: -1, ArrowDown: 1 }[event.key]];
  const next = { ArrowRight: buttons[here + 1], ArrowLeft: buttons[here - 1], Home: buttons[0], End: buttons.at(-1),
    ArrowUp: beside?.querySelectorAll(".hit")[here], ArrowDown: beside?.querySelectorAll(".hit")[here] }[event.key];
  if (!next) return;
  event.preventDefault();
  for (const button of next.closest(".hits").querySelectorAll(".hit")) button.tabIndex = button === next ? 0 : -1;
  next.focus();
}

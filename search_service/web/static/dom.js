// DOM helpers: elements, screen reader announcements, notices, confirmations.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Make an element; strings become text, never markup. `on…` are listeners; null and false are skipped. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "width%") element.style.width = `${value}%`; // the security policy forbids style attributes
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Announce something to screen readers. */
export function announce(text) {
  const place = byId("announcer");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/** Show a notice in the corner for a while; errors stay until they are closed. */
export function notify(kind, ...content) {
  const close = () => notice.remove();
  const notice = h("div", { class: `notice ${kind}` },
    h("div", {}, ...content),
    h("button", { type: "button", class: "button small quiet", onclick: close, "aria-label": "Close this message" }, "Close"));
  byId("notices").append(notice);
  if (kind !== "bad") setTimeout(close, 9000);
}

/** An error message in place of the result. */
export function failure(error, ...more) {
  return h("div", { class: "notice bad", role: "alert" },
    h("div", {}, h("p", {}, h("strong", {}, title(error))), h("p", {}, error.message), ...more));
}

function title(error) {
  return {
    InvalidPhotoError: "This photo cannot be searched with",
    InvalidInputError: "The request is not valid",
    UnauthenticatedError: "This service requires an API key",
    ForbiddenError: "That is not allowed",
    NotFoundError: "Not found",
    LineageError: "The encoder does not match this collection",
    OverloadedError: "The encoders are busy; try again in a moment",
    RateLimitedError: "Too many requests; wait a moment",
    DeadlineError: "It took too long",
    UnavailableError: "A part of the system does not answer",
    UnsupportedError: "This system does not support that",
  }[error.kind] ?? "Something went wrong";
}

/** A point's photo, or a note that it cannot be shown. */
export function thumbnail(gallery, id, size, alt = "") {
  const image = h("img", { src: photoUrl(gallery, id, "thumbnail", size), alt, loading: "lazy", decoding: "async",
    onerror: () => frame.classList.add("missing") });
  const frame = h("span", { class: "thumb" }, image);
  return frame;
}

export function photoUrl(gallery, id, kind, size) {
  const path = `/photos/${encodeURIComponent(gallery)}/${encodeURIComponent(id)}/${kind}`;
  return size ? `${path}?size=${size}` : path;
}

/** Ask for confirmation; resolves to false, or to what was ticked and written. */
export function confirm({ title: name, text, action, tick, field, kind = "danger" }) {
  const dialog = byId("confirm");
  const ticked = tick ? h("input", { type: "checkbox", required: true }) : null;
  const written = field ? h("input", { type: "text", autocomplete: "off", spellcheck: "false" }) : null;
  return new Promise((resolve) => {
    const form = h("form", { method: "dialog" },
      h("h2", { id: "confirm-title" }, name),
      h("p", {}, text),
      field && h("label", { class: "field" }, field, written),
      tick && h("label", { class: "inline check" }, ticked, tick),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close("") }, "Cancel"), // type=button, so that Enter does not cancel
        h("button", { class: `button ${kind}`, value: "yes" }, action)));
    dialog.replaceChildren(form);
    dialog.returnValue = "";
    dialog.onclose = () => resolve(dialog.returnValue === "yes" ? { ticked: Boolean(ticked?.checked), written: written?.value.trim() ?? "" } : false);
    dialog.showModal();
  });
}

/** Run `work` with the button disabled; an error becomes a notice. */
export async function whileBusy(button, work) {
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    notify("bad", error.message);
    return undefined;
  } finally {
    button.disabled = false;
  }
}

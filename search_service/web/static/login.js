// The API key: asked for where the service wants one, kept by the browser in a cookie that no script can read.

import { api } from "./api.js";
import { byId, h, whileBusy } from "./dom.js";

export async function start() {
  window.addEventListener("key-required", ask);
  byId("log-out").addEventListener("click", (event) => whileBusy(event.currentTarget, async () => {
    await api.logOut();
    location.reload();
  }));
  try {
    const { name, permission } = await api.session();
    byId("log-out").hidden = !name;
    byId("log-out").title = name ? `Key “${name}”, which may ${permission}` : "";
  } catch {
    // Whatever else is asked fails in the same way, and says so.
  }
}

function ask() {
  const dialog = byId("login");
  if (dialog.open) return;
  const key = h("input", { type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const refused = h("p", { class: "notice bad", role: "alert", hidden: true });
  dialog.replaceChildren(h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.logIn(key.value.trim());
      location.reload();
    } catch (error) {
      refused.textContent = error.message;
      refused.hidden = false;
      key.select();
    }
  } },
  h("h2", { id: "login-title" }, "This service wants an API key"),
  h("p", {}, "Whoever runs it makes one with ", h("code", {}, "landmarks keys create"), "."),
  h("label", { class: "field" }, "API key", key),
  refused,
  h("div", { class: "actions" }, h("button", { class: "button primary" }, "Log in"))));
  dialog.showModal();
}

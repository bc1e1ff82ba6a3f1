// The login: prompts for an API key if the service requires one; it is kept in a cookie that no script can read.

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
    // The other requests fail in the same way, and show the error.
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
  h("h2", { id: "login-title" }, "This service requires an API key"),
  h("p", {}, "Its operator can create one with ", h("code", {}, "landmarks keys create"), "."),
  h("label", { class: "field" }, "API key", key),
  refused,
  h("div", { class: "actions" }, h("button", { class: "button primary" }, "Log in"))));
  dialog.showModal();
}

// The page's JSON routes. Each makes one gRPC call.

export class ApiError extends Error {
  constructor(kind, message, status, field = "") {
    super(message);
    this.kind = kind;
    this.status = status;
    this.field = field;
  }
}

async function send(path, options = {}, read = (response) => response.json().catch(() => ({}))) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("UnavailableError", "The search service does not answer. Start the stack with `landmarks up`, then try again.", 0);
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    const error = body.error ?? { kind: "", message: `${response.status} ${response.statusText}` };
    if (response.status === 401 && !options.loggingIn) window.dispatchEvent(new Event("key-required"));
    throw new ApiError(error.kind, error.message, response.status, error.field);
  }
  return read(response);
}

const post = (path, body = {}) =>
  send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const part = encodeURIComponent;

export const api = {
  session: () => send("/api/session"),
  logIn: (key) => send("/api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }), loggingIn: true }),
  logOut: () => send("/api/session", { method: "DELETE" }),
  collections: async () => (await send("/api/collections")).collections,
  models: async () => (await send("/api/models")).models,
  values: async (gallery, field = "landmark") => (await send(`/api/galleries/${part(gallery)}/values?field=${part(field)}`)).values,
  samples: async (gallery, seed) => (await send(`/api/galleries/${part(gallery)}/samples?seed=${part(seed)}`)).points,
  point: (gallery, id) => send(`/api/galleries/${part(gallery)}/points/${part(id)}`),
  search(body, photo, signal) {
    const form = new FormData();
    form.append("asked", JSON.stringify(body));
    if (photo) form.append("photo", photo, "photo");
    return send("/api/search", { method: "POST", body: form, signal });
  },
  original: (url, signal) => send(url, { signal }, (response) => response.blob()),
  map: (gallery, model) => send(`/api/galleries/${part(gallery)}/models/${part(model)}/map`),
  drawMap: (gallery, model) => post(`/api/galleries/${part(gallery)}/models/${part(model)}/map`),
  calibrate: (gallery, unknowns = "") => post(`/api/galleries/${part(gallery)}/calibrate`, { unknowns }),
  rollBack: (gallery, model) => post(`/api/galleries/${part(gallery)}/models/${part(model)}/roll-back`),
  promote: (name) => post(`/api/collections/${part(name)}/promote`),
  drop: (name, liveToo) => post(`/api/collections/${part(name)}/drop`, { live_too: liveToo }),
  jobs: async () => (await send("/api/jobs")).jobs,
  startJob: (body) => post("/api/jobs", body),
  changeJob: (id, change) => post(`/api/jobs/${part(id)}/${change}`),
  deadLetters: async (id) => (await send(`/api/jobs/${part(id)}/dead-letters`)).dead_letters,
  watchUrl: (ids) => `/api/jobs/watch?${ids.map((id) => `id=${part(id)}`).join("&")}`,
};

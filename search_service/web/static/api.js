// The page's JSON routes. Each does one gRPC call.

export class ApiError extends Error {
  constructor(kind, message, status, field = "") {
    super(message);
    this.kind = kind;
    this.status = status;
    this.field = field;
  }
}

async function ask(path, options = {}, read = (response) => response.json().catch(() => ({}))) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("UnavailableError", "The search service does not answer. Start the stack with `landmarks up`, then try again.", 0);
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    const told = body.error ?? { kind: "", message: `${response.status} ${response.statusText}` };
    if (response.status === 401 && !options.loggingIn) window.dispatchEvent(new Event("key-wanted"));
    throw new ApiError(told.kind, told.message, response.status, told.field);
  }
  return read(response);
}

const post = (path, asked = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) });
const part = encodeURIComponent;

export const api = {
  session: () => ask("/api/session"),
  logIn: (key) => ask("/api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }), loggingIn: true }),
  logOut: () => ask("/api/session", { method: "DELETE" }),
  collections: async () => (await ask("/api/collections")).collections,
  models: async () => (await ask("/api/models")).models,
  values: async (gallery, field = "landmark") => (await ask(`/api/galleries/${part(gallery)}/values?field=${part(field)}`)).values,
  samples: async (gallery, seed) => (await ask(`/api/galleries/${part(gallery)}/samples?seed=${part(seed)}`)).points,
  point: (gallery, id) => ask(`/api/galleries/${part(gallery)}/points/${part(id)}`),
  search(asked, photo, signal) {
    const form = new FormData();
    form.append("asked", JSON.stringify(asked));
    if (photo) form.append("photo", photo, "photo");
    return ask("/api/search", { method: "POST", body: form, signal });
  },
  original: (url, signal) => ask(url, { signal }, (response) => response.blob()),
  map: (gallery, model) => ask(`/api/galleries/${part(gallery)}/models/${part(model)}/map`),
  drawMap: (gallery, model) => post(`/api/galleries/${part(gallery)}/models/${part(model)}/map`),
  calibrate: (gallery, unknowns = "") => post(`/api/galleries/${part(gallery)}/calibrate`, { unknowns }),
  rollBack: (gallery, model) => post(`/api/galleries/${part(gallery)}/models/${part(model)}/roll-back`),
  promote: (name) => post(`/api/collections/${part(name)}/promote`),
  drop: (name, liveToo) => post(`/api/collections/${part(name)}/drop`, { live_too: liveToo }),
  jobs: async () => (await ask("/api/jobs")).jobs,
  startJob: (asked) => post("/api/jobs", asked),
  changeJob: (id, change) => post(`/api/jobs/${part(id)}/${change}`),
  deadLetters: async (id) => (await ask(`/api/jobs/${part(id)}/dead-letters`)).dead_letters,
  watchUrl: (ids) => `/api/jobs/watch?${ids.map((id) => `id=${part(id)}`).join("&")}`,
};

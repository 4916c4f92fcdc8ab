/* Calls of the public API from pages: with the session's proof, and errors as values that say where they belong. */

export class ApiError extends Error {
  constructor(status, { message, param = null, code = null }) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

export function headersFor(extra = {}) {
  return { "X-CSRF-Token": csrfToken(), ...extra };
}

export async function errorOf(response) {
  const found = await response.json().catch(() => ({}));
  const error = found.error ?? { message: `The service has answered with ${response.status}.` };
  return new ApiError(response.status, error);
}

/* A session that has ended is no error to show: the way back in is. */
export function leaveIfSignedOut(status) {
  if (status !== 401) return;
  const here = location.pathname + location.search;
  location.assign(`/dashboard/sign-in?next=${encodeURIComponent(here)}`);
}

export async function call(method, path, body, { signal } = {}) {
  const isForm = body instanceof FormData;
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: headersFor(body === undefined || isForm ? {} : { "Content-Type": "application/json" }),
      body: body === undefined || isForm ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The service cannot be reached." });
  }
  if (!response.ok) {
    leaveIfSignedOut(response.status);
    throw await errorOf(response);
  }
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);

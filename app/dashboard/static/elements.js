/* Elements without markup: whatever text is put into them stays text. */

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function badge(text, kind = "") {
  return element("span", { class: `badge ${kind}` }, text);
}

export function table(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((text, at) => element("th", { scope: "col", class: at ? "number" : null }, text)));
  return element(
    "table",
    {},
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", {}, head),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) => element(at ? "td" : "th", at ? { class: "number" } : { scope: "row" }, cell))))),
  );
}

export const UNKNOWN = "\u2013";

export function reward(value) {
  return typeof value === "number" ? value.toFixed(2) : UNKNOWN;
}

export function count(value) {
  return typeof value === "number" ? Math.round(value).toLocaleString("en") : UNKNOWN;
}

export function money(value) {
  if (typeof value !== "number") return UNKNOWN;
  return value === 0 || value >= 1 ? value.toFixed(2) : value.toFixed(4);
}

export function duration(seconds) {
  if (typeof seconds !== "number") return UNKNOWN;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

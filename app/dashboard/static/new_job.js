/* The form of a new job: the estimate follows what is chosen, and what is wrong is said at its field. */

import { post } from "./api.js";
import { count, duration, element, money } from "./elements.js";

const PATH = "/v1/optimizations";
const REST_MS = 500;

const form = document.getElementById("new-job");
let turn = 0;
let timer = null;

function asNumber(name, factor = 1) {
  const text = form.elements[name].value.trim();
  return text === "" ? undefined : Number(text) * factor;
}

function wanted() {
  const { target, preset, source, lines, set, bank, seed_prompt, label, name } = form.elements;
  const body = {
    target: target.value,
    preset: preset.value,
    budget: {
      calls: asNumber("calls"),
      tokens: asNumber("tokens"),
      cost: asNumber("cost"),
      seconds: asNumber("minutes", 60),
    },
    held_out: asNumber("held_out") ?? 0,
    label: label.value.trim() || null,
  };
  if (source.value === "lines") body.queries = lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
  else body.queries = { dataset: source.value === "older" ? set.value.trim() : source.value };
  if (bank.value) body.examples = bank.value === "none" ? [] : { bank: bank.value };
  if (seed_prompt.value.trim()) body.seed_prompt = seed_prompt.value;
  if (name.value.trim()) body.name = name.value.trim();
  return body;
}

/* The place of an error: its field, the group that it is in, else below the estimate. */
function placeOf(param) {
  for (let path = (param ?? "").replace(/^body\./, ""); path; path = path.replace(/\.?[^.]*$/, "")) {
    const place = form.querySelector(`[data-problem="${CSS.escape(path)}"]`);
    if (place) return place;
  }
  return document.getElementById("other-problem");
}

function showProblem(error) {
  for (const place of form.querySelectorAll("[data-problem]")) place.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  if (!error) return;
  const place = placeOf(error.param);
  place.textContent = error.message;
  form.querySelector(`[aria-describedby~="${CSS.escape(place.id)}"]`)?.setAttribute("aria-invalid", "true");
}

function fact(title, value, note) {
  return element("div", {}, element("dt", {}, title), element("dd", {}, value, note ? element("span", { class: "sub" }, note) : null));
}

function range(found, format) {
  return found.low === found.high ? null : `${format(found.low)} to ${format(found.high)}`;
}

function showEstimate(found) {
  const tokens = {
    low: found.prompt_tokens.low + found.completion_tokens.low,
    expected: found.prompt_tokens.expected + found.completion_tokens.expected,
    high: found.prompt_tokens.high + found.completion_tokens.high,
  };
  const facts = element(
    "dl",
    { class: "facts" },
    fact("Calls", count(found.calls.expected), range(found.calls, count)),
    fact("Tokens", count(tokens.expected), range(tokens, count)),
    fact("Cost", money(found.cost.expected), range(found.cost, money)),
    fact("Time", found.seconds ? duration(found.seconds.expected) : "not known yet", found.seconds ? range(found.seconds, duration) : "No job on this target has been measured."),
  );
  const ends = found.cut_by.length ? element("p", { class: "hint" }, `Its limit of ${found.cut_by.join(" and ")} will end the search.`) : "";
  const from = found.jobs_measured ? `From ${found.jobs_measured} earlier ${found.jobs_measured === 1 ? "job" : "jobs"} on these models.` : "Guessed from the lengths of the texts.";
  document.getElementById("estimate").replaceChildren(facts, ends, element("p", { class: "hint" }, from));
}

async function estimate() {
  const mine = (turn += 1);
  try {
    const found = await post(`${PATH}/estimate`, wanted());
    if (mine !== turn) return;
    showProblem(null);
    showEstimate(found);
  } catch (error) {
    if (mine !== turn) return;
    showProblem(error);
    document.getElementById("estimate").replaceChildren(element("p", { class: "muted" }, "It cannot be said before the form is complete."));
  }
}

function showFields() {
  document.getElementById("lines-field").hidden = form.elements.source.value !== "lines";
  document.getElementById("set-field").hidden = form.elements.source.value !== "older";
}

form.addEventListener("input", () => {
  showFields();
  clearTimeout(timer);
  timer = setTimeout(estimate, REST_MS);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearTimeout(timer);
  turn += 1;
  const button = document.getElementById("begin");
  button.disabled = true;
  try {
    const made = await post(PATH, wanted());
    location.assign(`/dashboard/jobs/${encodeURIComponent(made.id)}`);
  } catch (error) {
    showProblem(error);
    button.disabled = false;
    form.querySelector('[aria-invalid="true"]')?.focus();
  }
});

showFields();
estimate();

/* The form of a new example bank: stored as it is, or made better by a job. */

import { post } from "./api.js";
import { onSubmit } from "./forms.js";

const form = document.getElementById("new-bank");

function parsed(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  return lines.map((line, at) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new Error(`Line ${at + 1} is no JSON: ${error.message}`);
    }
  });
}

function showFields() {
  document.getElementById("lines-field").hidden = form.elements.source.value !== "lines";
  document.getElementById("refinement").hidden = !form.elements.refine.checked;
}

onSubmit("new-bank", async (_, fields) => {
  const asNumber = (name, factor = 1) => (fields.get(name).trim() === "" ? undefined : Number(fields.get(name)) * factor);
  const source = fields.get("source");
  const body = { refine: fields.get("refine") !== null, name: fields.get("name").trim() || null };
  if (source) body.examples = source === "lines" ? parsed(fields.get("lines")) : { bank: source };
  if (body.refine) {
    body.preset = fields.get("preset");
    body.budget = { calls: asNumber("calls"), cost: asNumber("cost"), seconds: asNumber("minutes", 60) };
  }
  const made = await post("/v1/example-banks", body);
  location.assign(`/dashboard/data/banks/${encodeURIComponent(made.id)}`);
});

form.addEventListener("input", showFields);
showFields();

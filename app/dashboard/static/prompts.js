/* Prompt versions: moving labels, undoing that, exporting, importing, writing by hand. */

import { call, get, post } from "./api.js";
import { onSubmit } from "./forms.js";
import { ask, notifyError } from "./notices.js";

const of = (model) => `/v1/prompts/${model.split("/").map(encodeURIComponent).join("/")}`;
const pageOf = (model, version) =>
  `/dashboard/prompts/${model.split("/").map(encodeURIComponent).join("/")}/versions/${encodeURIComponent(version)}`;

onSubmit("move-label", async (form, fields) => {
  const { model, version } = form.dataset;
  const label = fields.get("label");
  const known = [...document.querySelectorAll("#known-labels option")].find((option) => option.value === label);
  await call("PUT", `${of(model)}/labels/${encodeURIComponent(label)}`, {
    version,
    reason: fields.get("reason"),
    expected: known?.dataset.version ?? null,
  });
  location.reload();
});

onSubmit("import-version", async (form, fields) => {
  const file = fields.get("file");
  const text = file?.size ? await file.text() : fields.get("content");
  let content;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new Error(text.trim() ? `This is no JSON: ${error.message}` : "Choose a file, or paste its text.");
  }
  const { model } = form.dataset;
  const made = await post(`${of(model)}/import`, {
    format: fields.get("format"),
    content,
    name: fields.get("name") || null,
  });
  location.assign(pageOf(model, made.id));
});

onSubmit("write-version", async (form, fields) => {
  const { model } = form.dataset;
  const made = await post(`${of(model)}/versions`, {
    system_prompt: fields.get("system_prompt"),
    name: fields.get("name") || null,
    note: fields.get("note") || null,
  });
  location.assign(pageOf(model, made.id));
});

for (const button of document.querySelectorAll("[data-undo]")) {
  button.addEventListener("click", async () => {
    const { undo: label, model, move, backTo } = button.dataset;
    const where = backTo ? `points to ${backTo} again` : "is taken away, as it pointed nowhere before";
    if (!(await ask(`Undo the last move of ${label}?`, `The label ${label} of ${model} ${where}.`, "Undo"))) return;
    try {
      await post(`${of(model)}/labels/${encodeURIComponent(label)}/undo`, { move: Number(move) });
      location.reload();
    } catch (error) {
      notifyError(error);
    }
  });
}

for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", async () => {
    const { export: format, model, version, number } = button.dataset;
    try {
      const found = await get(`${of(model)}/versions/${encodeURIComponent(version)}/export?format=${format}`);
      save(`${model.replace(/[^\w.-]+/g, "-")}-v${number}.${format}.json`, JSON.stringify(found.content, null, 2));
    } catch (error) {
      notifyError(error);
    }
  });
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/* API keys: making one, whose secret is shown once, changing and revoking. */

import { call, post } from "./api.js";
import { onSubmit } from "./forms.js";
import { ask, notify, notifyError } from "./notices.js";

const numberOrNull = (text) => (text === "" || text === null ? null : Number(text));

for (const input of document.querySelectorAll("input[type=datetime-local][data-at]")) {
  if (!input.dataset.at) continue;
  const at = new Date(Number(input.dataset.at) * 1000);
  input.value = new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function quotasOf(form) {
  const quotas = [];
  for (const row of form.querySelectorAll("tr[data-period]")) {
    const quota = { period: row.dataset.period };
    for (const input of row.querySelectorAll("input[data-limit]")) {
      const value = numberOrNull(input.value);
      if (value !== null) quota[input.dataset.limit] = value;
    }
    if (Object.keys(quota).length > 1) quotas.push(quota);
  }
  return quotas;
}

function keyOf(form, fields) {
  const expires = fields.get("expires");
  return {
    name: fields.get("name"),
    note: fields.get("note"),
    scopes: fields.getAll("scopes"),
    models: fields.get("all_models") === null ? fields.getAll("models") : null,
    expires_at: expires ? new Date(expires).getTime() / 1000 : null,
    limits: {
      requests_per_minute: numberOrNull(fields.get("requests_per_minute")),
      tokens_per_minute: numberOrNull(fields.get("tokens_per_minute")),
      quotas: quotasOf(form),
    },
  };
}

onSubmit("create-key", async (form, fields) => {
  const made = await post("/v1/keys", keyOf(form, fields));
  form.reset();
  document.getElementById("secret").textContent = made.key;
  const place = document.getElementById("new-secret");
  place.hidden = false;
  place.focus();
});

/* Only what is another now is sent, so that the log of changes says what was meant. */
const changing = document.getElementById("change-key");
const before = changing ? keyOf(changing, new FormData(changing)) : {};

onSubmit("change-key", async (form, fields) => {
  const changed = Object.entries(keyOf(form, fields)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]),
  );
  if (changed.length === 0) throw new Error("Nothing has changed.");
  await call("PATCH", `/v1/keys/${encodeURIComponent(form.dataset.key)}`, Object.fromEntries(changed));
  location.reload();
});

document.getElementById("copy-secret")?.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(document.getElementById("secret").textContent);
    notify("Copied.");
  } catch {
    notify("This browser lets nobody copy: mark the key and copy it yourself.", "bad");
  }
});

for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", async () => {
    const { revoke, name } = button.dataset;
    if (!(await ask(`Revoke ${name}?`, "It is refused from now on, for ever.", "Revoke"))) return;
    try {
      await call("DELETE", `/v1/keys/${encodeURIComponent(revoke)}`);
      location.reload();
    } catch (error) {
      notifyError(error);
    }
  });
}

/* The page of an example bank: its job can be paused and ended, and the page follows it. */

import { get } from "./api.js";
import { count, money, reward } from "./elements.js";
import { offerActions, showOffered } from "./job_actions.js";
import { notifyError } from "./notices.js";

const EVERY_MS = 3000;
const FINAL = ["succeeded", "failed", "cancelled"];

const page = document.getElementById("bank-job");
const path = `/v1/example-banks/${encodeURIComponent(page.dataset.id)}`;

function show({ status, progress, usage }) {
  if (FINAL.includes(status)) {
    location.reload(); // with the answers that it has now
    return;
  }
  const state = document.getElementById("state");
  state.className = `badge ${status}`;
  state.textContent = status;
  showOffered(status);
  document.getElementById("rewards").textContent = `${reward(progress.mean_first)} \u2192 ${reward(progress.mean_best)}`;
  document.getElementById("judged").textContent = count(progress.answers);
  document.getElementById("calls").textContent = count(usage.calls);
  document.getElementById("cost").textContent = money(usage.cost);
}

async function keepAsking() {
  try {
    show(await get(path));
  } catch (error) {
    if (error.status === 404) throw error;
  }
  setTimeout(() => keepAsking().catch(notifyError), EVERY_MS);
}

if (!FINAL.includes(page.dataset.status)) {
  offerActions(path, show);
  keepAsking().catch(notifyError);
}

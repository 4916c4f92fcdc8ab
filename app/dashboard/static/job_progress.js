/* How far a job is and what it has spent, from the job itself. */

import { badge, count, duration, element, money, reward, table } from "./elements.js";
import { showOffered } from "./job_actions.js";

const put = (id, text) => {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
};

export function showProgress(job) {
  const { progress, usage } = job;
  const bar = document.getElementById("progress");
  bar.max = Math.max(progress.calls_expected, 1);
  bar.value = Math.min(progress.calls, bar.max);
  put("progress-text", inWords(job));
  put("best-reward", reward(job.best?.reward));
  put("calls", count(usage.calls));
  put("tokens", count(usage.prompt_tokens + usage.completion_tokens));
  put("cost", money(usage.cost));
  put("elapsed", duration(job.elapsed_seconds));
  put("rollout-count", count(progress.evaluations));
  put("unscored-count", count(progress.unscored));
  put("trouble", job.error?.message ?? job.paused?.message ?? "");
  document.getElementById("state").replaceChildren(badge(job.status, job.status));
  showOffered(job.status);
  showSpend(usage);
}

function inWords({ status, progress, pause_requested, cancel_requested }) {
  if (status === "queued") return "Waits for a worker.";
  if (status === "succeeded") return "Finished.";
  if (status === "failed") return "Failed.";
  if (status === "cancelled") return "Ended by request.";
  if (status === "paused") return "Paused.";
  const left = progress.seconds_left ? `, about ${duration(progress.seconds_left.expected)} left` : "";
  const asked = cancel_requested ? " About to end." : pause_requested ? " About to pause." : "";
  const round = progress.round === null ? "" : `, round ${progress.round} finished`;
  const phase = progress.phase === "gate" ? "Comparing on held-out queries" : "Searching";
  return `${phase}${round}: ${count(progress.calls)} of about ${count(progress.calls_expected)} calls${left}.${asked}`;
}

function showSpend(usage) {
  const rows = Object.entries(usage.by_role).map(([role, spend]) => [
    role,
    count(spend.calls),
    count(spend.prompt_tokens),
    count(spend.completion_tokens),
    money(spend.cost),
  ]);
  const place = document.getElementById("spend-table");
  if (rows.length) place.replaceChildren(table("Spend by role", ["Role", "Calls", "Tokens in", "Tokens out", "Cost"], rows));
  else place.replaceChildren(element("p", { class: "muted" }, "Nothing is spent yet."));
}

/* The page of a job: follows its events, and draws what they add up to a few times a second at most. */

import { get } from "./api.js";
import { CandidateView } from "./candidates.js";
import { follow } from "./event_stream.js";
import { offerActions } from "./job_actions.js";
import { showBest, showGate, showHeat, showTree } from "./job_charts.js";
import { showProgress } from "./job_progress.js";
import { notifyError } from "./notices.js";
import { Rollouts } from "./rollouts.js";
import { SearchState } from "./search_state.js";

const DRAW_MS = 400;
const ASK_MS = 2500;
const FINAL = ["succeeded", "failed", "cancelled"];

const page = document.getElementById("job");
const path = `/v1/optimizations/${encodeURIComponent(page.dataset.id)}`;
const state = new SearchState(page.dataset.seedPrompt);
const rollouts = new Rollouts(path);
const view = new CandidateView(state, showRollouts);
let drawn = { rounds: -1, candidates: -1, gate: null };
let isWaiting = false;
let status = page.dataset.status;

function showRollouts() {
  const which = document.querySelector('input[name="rollouts"]:checked').value;
  if (which === "unscored") rollouts.show({ unscored: "true" });
  else if (view.chosen) rollouts.show({ candidate_id: view.chosen });
}

for (const input of document.querySelectorAll('input[name="rollouts"]')) input.addEventListener("change", showRollouts);

async function redraw() {
  isWaiting = false;
  view.showTable();
  const before = drawn;
  drawn = { rounds: state.rounds.length, candidates: state.candidates.size, gate: state.gate };
  try {
    if (state.gate && state.gate !== before.gate) await showGate(state.gate, state.judge);
    if (drawn.rounds !== before.rounds) {
      await showBest(state);
      showHeat((await get(`${path}/criteria?phase=search`)).data);
    }
    if (drawn.rounds !== before.rounds || drawn.candidates !== before.candidates) await showTree(state);
  } catch (error) {
    notifyError(error);
  }
}

function redrawSoon() {
  if (isWaiting) return;
  isWaiting = true;
  setTimeout(redraw, DRAW_MS);
}

async function askForProgress() {
  try {
    const job = await get(path);
    status = job.status;
    page.dataset.status = status;
    showProgress(job);
  } catch (error) {
    if (error.status === 404) throw error;
  }
}

async function keepAsking() {
  await askForProgress();
  if (!FINAL.includes(status)) setTimeout(keepAsking, ASK_MS);
}

offerActions(path, (job) => showProgress(job));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn = { rounds: -1, candidates: -1, gate: null };
  redrawSoon();
});

keepAsking().catch(notifyError);
follow(`${path}/events`, {
  onEvents: (events) => {
    for (const event of events) state.apply(event);
    page.dataset.seen = String(events.at(-1).seq);
    redrawSoon();
  },
  onState: (now) => {
    page.dataset.stream = now;
    if (now === "ended") askForProgress().catch(notifyError);
  },
}).catch(notifyError);

/* The page of a job: what the service knows of it, then its events, drawn a few times a second at most. */

import { get } from "./api.js";
import { CandidateView } from "./candidates.js";
import { load } from "./charts.js";
import { follow, persistently } from "./event_stream.js";
import { offerActions } from "./job_actions.js";
import { showBest, showGate, showHeat, showTree } from "./job_charts.js";
import { showProgress } from "./job_progress.js";
import { notifyError } from "./notices.js";
import { Rollouts } from "./rollouts.js";
import { SearchState } from "./search_state.js";

const DRAW_MS = 400;
const ASK_MS = 2500;
const AT_ONCE = 400;
const HEAT_COLUMNS = 24;
const HEAT_REST = 5;
const FINAL = ["succeeded", "failed", "cancelled"];

const page = document.getElementById("job");
const path = `/v1/optimizations/${encodeURIComponent(page.dataset.id)}`;
const rollouts = new Rollouts(path);
let state = null;
let view = null;
let known = AT_ONCE;
let drawn = { rounds: -1, candidates: -1, gate: null };
const heat = { rounds: -1, freeAt: 0, isBusy: false };
let isWaiting = false;
let status = page.dataset.status;

function showRollouts() {
  const which = document.querySelector('input[name="rollouts"]:checked').value;
  if (which === "unscored") rollouts.show({ unscored: "true" });
  else if (view?.chosen) rollouts.show({ candidate_id: view.chosen });
}

for (const input of document.querySelectorAll('input[name="rollouts"]')) input.addEventListener("change", showRollouts);

async function askForMore(count) {
  while (known < Math.min(count, state.total)) {
    state.add(await get(`${path}/tree?limit=${AT_ONCE}&skip=${known}`));
    known += AT_ONCE;
  }
}

async function askForUnknown() {
  if (!state.unknown.size) return;
  const names = [...state.unknown].slice(0, 100).map((id) => `candidate_id=${encodeURIComponent(id)}`);
  state.add(await get(`${path}/tree?limit=0&${names.join("&")}`));
}

/* A large job's criteria take the service a while: the longer, the less often they are asked for. */
async function redrawHeat() {
  if (heat.isBusy || heat.rounds === state.rounds.length) return;
  heat.isBusy = true;
  const wait = heat.freeAt - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  const began = performance.now();
  heat.rounds = state.rounds.length;
  try {
    showHeat((await get(`${path}/criteria?phase=search&columns=${HEAT_COLUMNS}`)).data);
  } finally {
    heat.freeAt = performance.now() + HEAT_REST * (performance.now() - began);
    heat.isBusy = false;
  }
  redrawHeat().catch(notifyError);
}

async function redraw() {
  isWaiting = false;
  const before = drawn;
  try {
    await askForUnknown();
    view.showTable();
    drawn = { rounds: state.rounds.length, candidates: state.candidates.size, gate: state.gate };
    if (state.gate && state.gate !== before.gate) await showGate(state.gate, state.judge);
    if (drawn.rounds !== before.rounds) await showBest(state);
    if (drawn.rounds !== before.rounds || drawn.candidates !== before.candidates) await showTree(state);
    redrawHeat().catch(notifyError); // last: of all that is drawn it takes the service longest
  } catch (error) {
    notifyError(error);
  }
}

function redrawSoon() {
  if (isWaiting || !state) return;
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

function show(events) {
  for (const event of events) state.apply(event);
  page.dataset.seen = String(state.seq);
  redrawSoon();
}

function showStream(now) {
  page.dataset.stream = now;
  if (now === "ended" && !FINAL.includes(page.dataset.status)) askForProgress().catch(notifyError);
}

async function begin() {
  state = new SearchState(await persistently(() => get(`${path}/tree?limit=${AT_ONCE}`)));
  view = new CandidateView(path, state, { askForMore, onChosen: showRollouts });
  page.dataset.seen = String(state.seq);
  await Promise.all([
    redraw(),
    state.phase === "finished" ? showStream("ended") : follow(`${path}/events`, { after: state.seq, onEvents: show, onState: showStream }),
  ]);
}

for (const input of document.querySelectorAll('input[name="over"]')) {
  input.addEventListener("change", () => state && showBest(state).catch(notifyError));
}
offerActions(path, (job) => showProgress(job));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn = { rounds: -1, candidates: -1, gate: null };
  redrawSoon();
});
load().catch(notifyError);
keepAsking().catch(notifyError);
begin().catch(notifyError);

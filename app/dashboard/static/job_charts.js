/* The charts of a job and the tables that say the same. */

import { colour, draw, plain } from "./charts.js";
import { count, element, money, reward, table } from "./elements.js";
import { fate, inOrder, mean } from "./search_state.js";

const MOST_POINTS = 400;
const MOST_ROWS = 100;
const MOST_TICKS = 20;
const LEVELS = 5;

export async function showBest(state) {
  const rounds = state.rounds.filter((one) => one.reward !== null && one.spend !== null);
  const over = document.querySelector('input[name="over"]:checked').value;
  const unit = over === "cost" ? "money" : over;
  const rows = rounds
    .slice(-MOST_ROWS)
    .map(({ round, best, reward: found, spend }) => [`Round ${round}`, count(spend.calls), count(spend.tokens), money(spend.cost), best, reward(found)]);
  const told = rounds.length > MOST_ROWS ? element("p", { class: "muted" }, `The last ${MOST_ROWS} rounds.`) : "";
  document.getElementById("best-table").replaceChildren(told, table("Best reward over spend", ["Round", "Calls", "Tokens", "Cost", "Leader", "Reward"], rows));
  await draw(
    document.getElementById("best-chart"),
    [
      {
        x: rounds.map((one) => one.spend[over]),
        y: rounds.map((one) => one.reward),
        text: rounds.map((one) => plain(`round ${one.round}: ${one.best}`)),
        hovertemplate: `%{text}<br>%{x} ${unit}, reward %{y:.2f}<extra></extra>`,
        mode: "lines+markers",
        line: { shape: "hv", color: colour("accent"), width: 2 },
        marker: { size: 7, color: colour("accent") },
      },
    ],
    { xaxis: { title: { text: unit }, rangemode: "tozero" }, yaxis: { title: { text: "reward" } } },
  );
}

/* The leaders, those that went furthest, and all their ancestors: never more than some hundred points. */
export async function showTree(state) {
  const drawn = new Set();
  for (const one of state.ranked()) {
    if (drawn.size >= MOST_POINTS) break;
    if (one.reward === null && !one.judged) continue;
    for (const above of state.lineage(one.id)) drawn.add(above);
  }
  const nodes = [...drawn];
  const left = state.total - nodes.length;
  document.getElementById("tree-hint").textContent =
    "Each point is a prompt, joined to the one that it was written from." + (left > 0 ? ` ${count(nodes.length)} of ${count(state.total)} are drawn: the best of those that were tried.` : "");
  const base = Math.min(...nodes.map((one) => one.reward ?? mean(one) ?? Infinity));
  const floor = Number.isFinite(base) ? base : 1;
  const spread = new Map();
  for (const one of [...nodes].sort(inOrder)) spread.set(one.round, (spread.get(one.round) ?? 0) + 1);
  const seen = new Map();
  const place = new Map();
  for (const one of [...nodes].sort(inOrder)) {
    const at = seen.get(one.round) ?? 0;
    seen.set(one.round, at + 1);
    const shift = spread.get(one.round) > 1 ? (at / (spread.get(one.round) - 1) - 0.5) * 0.5 : 0;
    place.set(one, [one.round + shift, one.reward ?? mean(one) ?? floor]);
  }
  const edges = { x: [], y: [] };
  for (const one of nodes) {
    const parent = state.candidates.get(one.parent);
    if (!place.has(parent)) continue;
    const [[x0, y0], [x1, y1]] = [place.get(parent), place.get(one)];
    edges.x.push(x0, x1, null);
    edges.y.push(y0, y1, null);
  }
  const kinds = { good: colour("good"), running: colour("accent"), "": colour("muted") };
  const looks = nodes.map((one) => fate(one, state));
  await draw(
    document.getElementById("tree-chart"),
    [
      { ...edges, mode: "lines", line: { color: colour("line"), width: 1 }, hoverinfo: "skip" },
      {
        x: nodes.map((one) => place.get(one)[0]),
        y: nodes.map((one) => place.get(one)[1]),
        text: nodes.map((one, at) => plain(`${one.id}: ${looks[at].text}`)),
        hovertemplate: "%{text}<br>reward %{y:.2f}<extra></extra>",
        mode: "markers",
        marker: {
          color: looks.map(({ kind }) => kinds[kind]),
          size: nodes.map((one) => (one.id === state.leader ? 14 : 8)),
          symbol: nodes.map((one) => (one.dropped ? "circle-open" : "circle")),
          line: { width: 1.5, color: looks.map(({ kind }) => kinds[kind]) },
        },
      },
    ],
    { xaxis: { title: { text: "round" }, tickformat: "d", zeroline: false, ...(spread.size > MOST_TICKS ? {} : { dtick: 1 }) }, yaxis: { title: { text: "reward" } }, hovermode: "closest" },
  );
}

export function showHeat(items) {
  const place = document.getElementById("heat");
  if (!items.length) {
    place.replaceChildren(element("p", { class: "muted" }, "Nothing is judged yet."));
    return;
  }
  const rounds = [...new Set(items.map((item) => item.round))].sort((a, b) => a - b);
  const last = new Map(items.map((item) => [item.round, item.last_round]));
  const title = (round) => (last.get(round) === round ? `Round ${round}` : `Rounds ${round} to ${last.get(round)}`);
  const criteria = [...new Set(items.map((item) => item.criterion))].sort();
  const found = new Map(items.map((item) => [`${item.round} ${item.criterion}`, item]));
  const head = element("tr", {}, element("th", { scope: "col" }, "Criterion"), ...rounds.map((round) => element("th", { scope: "col" }, title(round))));
  const rows = criteria.map((criterion) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, criterion),
      ...rounds.map((round) => {
        const item = found.get(`${round} ${criterion}`);
        if (!item) return element("td", { class: "none" }, "\u2013");
        const level = Math.min(LEVELS, Math.max(1, Math.round(item.mean)));
        return element("td", { class: `h${level}`, title: `${item.evaluations} rollouts` }, item.mean.toFixed(1));
      }),
    ),
  );
  const caption = element("caption", { class: "visually-hidden" }, "Mean score of each criterion in each round");
  place.replaceChildren(element("table", { class: "heat" }, caption, element("thead", {}, head), element("tbody", {}, ...rows)));
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

export async function showGate(gate, judge) {
  document.getElementById("gate").hidden = false;
  const agreement = typeof judge?.agreement === "number" ? ` The judge agreed with itself to ${(judge.agreement * 100).toFixed(0)} %.` : "";
  const [verdict, ...warnings] = [`${gate.verdict.replaceAll("_", " ")}: ${gate.reason}`, ...gate.warnings].map(sentence);
  document.getElementById("gate-text").textContent = `${verdict}${agreement}${warnings.map((text) => ` ${text}`).join("")}`;
  const finalists = gate.finalists.filter((one) => typeof one.difference === "number");
  const signed = (value) => (typeof value === "number" ? `${value >= 0 ? "+" : ""}${value.toFixed(2)}` : "\u2013");
  const rows = gate.finalists.map((one) => [one.candidate_id, reward(one.baseline_reward), reward(one.candidate_reward), signed(one.difference), `${signed(one.low)} to ${signed(one.high)}`, count(one.queries), one.obstacle ?? ""]);
  document.getElementById("gate-table").replaceChildren(table("Finalists against the prompt in use", ["Finalist", "In use", "Finalist's", "Difference", "Interval", "Queries", "Obstacle"], rows));
  const chart = document.getElementById("gate-chart");
  chart.hidden = !finalists.length;
  if (!finalists.length) return;
  await draw(
    chart,
    [
      {
        x: finalists.map((one) => one.difference),
        y: finalists.map((one) => plain(one.candidate_id)),
        error_x: {
          type: "data",
          symmetric: false,
          array: finalists.map((one) => one.high - one.difference),
          arrayminus: finalists.map((one) => one.difference - one.low),
          color: colour("accent"),
          thickness: 2,
        },
        hovertemplate: "%{y}: %{x:.2f}<extra></extra>",
        mode: "markers",
        marker: { size: 11, color: colour("accent") },
      },
    ],
    {
      xaxis: { title: { text: "difference in reward, with its interval" }, zeroline: true, zerolinewidth: 2, zerolinecolor: colour("muted"), rangemode: "tozero" },
      yaxis: { type: "category", range: [-0.6, finalists.length - 0.4] },
    },
  );
}

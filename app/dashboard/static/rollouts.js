/* Rollouts, a few at a time: what was asked and answered, the scores, and the judge's reasons. */

import { get } from "./api.js";
import { badge, element, reward } from "./elements.js";
import { notifyError } from "./notices.js";

const ON_A_PAGE = 10;

export class Rollouts {
  #path;
  #query = {};
  #last = null;
  #turn = 0;

  constructor(path) {
    this.#path = path;
    this.more = document.getElementById("more-rollouts");
    this.place = document.getElementById("rollouts");
    this.more.addEventListener("click", () => this.#load());
  }

  async show(query) {
    this.#query = query;
    this.#last = null;
    await this.#load();
  }

  async #load() {
    const turn = (this.#turn += 1);
    const isFirst = this.#last === null;
    const params = new URLSearchParams({ limit: String(ON_A_PAGE), ...this.#query });
    if (!isFirst) params.set("after", this.#last);
    try {
      const found = await get(`${this.#path}/evaluations?${params}`);
      if (turn !== this.#turn) return;
      const made = found.data.map(card);
      if (isFirst) this.place.replaceChildren(...(made.length ? made : [element("p", { class: "muted" }, "There are none.")]));
      else this.place.append(...made);
      this.#last = found.data.at(-1)?.id ?? this.#last;
      this.more.hidden = !found.has_more;
    } catch (error) {
      notifyError(error);
    }
  }
}

function card(rollout) {
  const { query, answer, failure, unscored_reason, criteria } = rollout;
  const where = rollout.phase === "held_out" ? "held out" : `round ${rollout.round}`;
  const verdict = unscored_reason === null ? badge(`reward ${reward(rollout.reward)}`, "running") : badge("unscored", "warn");
  const title = element("span", { class: "asked" }, query.text);
  const note = element("span", { class: "muted" }, `${query.kind ?? "ordinary"} \u00b7 ${rollout.candidate_id} \u00b7 ${where}`);
  return element(
    "details",
    { class: "rollout" },
    element("summary", {}, title, note, verdict),
    element("h3", {}, `Query ${query.id}`),
    element("div", { class: "text" }, query.text),
    element("h3", {}, "Answer"),
    answer === null ? element("p", { class: "problem" }, failure || "There is none.") : element("div", { class: "text" }, answer),
    unscored_reason === null ? null : element("p", { class: "problem" }, `Unscored: ${unscored_reason}`),
    criteria.length ? element("h3", {}, "Scores and reasons") : null,
    criteria.length ? element("dl", {}, ...criteria.map(reason)) : null,
  );
}

function reason({ criterion, score, rationale }) {
  return element("div", {}, element("dt", {}, `${criterion}: ${reward(score)}`), element("dd", { class: "muted" }, rationale ?? ""));
}

/* The table of candidates, and the one that is looked at: its prompt, what changed, where it comes from. */

import { CandidateTexts } from "./candidate_texts.js";
import { badge, count, element, reward } from "./elements.js";
import { notifyError } from "./notices.js";
import { fate, mean } from "./search_state.js";
import { diffElement } from "./word_diff.js";

const STEP = 25;
const LATEST_ANCESTORS = 12;

export class CandidateView {
  #shown = STEP;
  #state;
  #texts;
  #askForMore;
  #onChosen;
  #turn = 0;
  chosen = null;

  /* askForMore(count) has to add so many of the best to the state at least, as far as there are. */
  constructor(path, state, { askForMore, onChosen }) {
    this.#state = state;
    this.#texts = new CandidateTexts(path);
    this.#askForMore = askForMore;
    this.#onChosen = onChosen;
    document.getElementById("more-candidates").addEventListener("click", () => this.#showMore());
    for (const input of document.querySelectorAll('input[name="against"]')) input.addEventListener("change", () => this.#showPrompt());
  }

  showTable() {
    const ranked = this.#state.ranked();
    const body = document.querySelector("#candidates tbody");
    const focused = document.activeElement?.dataset?.candidate;
    body.replaceChildren(...ranked.slice(0, this.#shown).map((one) => this.#row(one)));
    if (focused) body.querySelector(`[data-candidate="${CSS.escape(focused)}"]`)?.focus();
    const left = this.#state.total - this.#shown;
    const more = document.getElementById("more-candidates");
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(STEP, left)} more of ${count(left)}`;
    if (!this.chosen && ranked.length) this.choose(ranked[0].id, { quietly: true });
  }

  choose(id, { quietly = false } = {}) {
    this.chosen = id;
    const section = document.getElementById("chosen");
    section.hidden = false;
    for (const row of document.querySelectorAll("#candidates tbody tr")) row.classList.toggle("chosen", row.dataset.candidate === id);
    this.#showPrompt();
    this.#onChosen(id);
    if (!quietly) section.focus();
  }

  async #showMore() {
    const more = document.getElementById("more-candidates");
    more.disabled = true;
    try {
      await this.#askForMore(this.#shown + STEP);
      this.#shown += STEP;
      this.showTable();
    } catch (error) {
      notifyError(error);
    } finally {
      more.disabled = false;
    }
  }

  #row(one) {
    const { text, kind, why } = fate(one, this.#state);
    const open = element("button", { type: "button", "data-candidate": one.id, "aria-pressed": String(one.id === this.chosen), onclick: () => this.choose(one.id) }, one.id);
    return element(
      "tr",
      { "data-candidate": one.id, class: one.id === this.chosen ? "chosen" : null },
      element("th", { scope: "row" }, open),
      element("td", { class: "mono" }, one.parent ?? "\u2013"),
      element("td", { class: "number" }, count(one.round)),
      element("td", { class: "number" }, reward(one.reward)),
      element("td", { class: "number" }, reward(mean(one))),
      element("td", { class: "number" }, count(one.judged)),
      element("td", {}, badge(text, kind), why ? element("span", { class: "sub" }, why) : null),
    );
  }

  async #showPrompt() {
    const turn = (this.#turn += 1);
    const one = this.#state.candidates.get(this.chosen);
    if (!one) return;
    document.getElementById("chosen-title").textContent = `Candidate ${one.id}`;
    this.#showLineage(one.id);
    const against = document.querySelector('input[name="against"]:checked').value;
    try {
      const seed = this.#state.lineage(one.id).at(-1).id;
      const other = this.#texts.of({ parent: one.parent, seed: seed === one.id ? null : seed, none: null }[against]);
      const [mine, theirs] = await Promise.all([this.#texts.of(one.id), other]);
      if (turn !== this.#turn) return;
      document.getElementById("chosen-prompt").replaceChildren(diffElement(theirs?.prompt ?? mine.prompt, mine.prompt));
      document.getElementById("chosen-rationale").textContent = mine.rationale ? `Why it was written: ${mine.rationale}` : "";
    } catch (error) {
      notifyError(error);
    }
  }

  /* From the first prompt on; of a long line the middle is left out. */
  #showLineage(id) {
    const line = this.#state.lineage(id).reverse();
    const cut = line.length - LATEST_ANCESTORS - 1;
    const shown = cut > 0 ? [line[0], ...line.slice(cut + 1)] : line;
    const rows = shown.map((one) => {
      const { text, why } = fate(one, this.#state);
      return element("li", {}, `${one.id} \u00b7 round ${one.round} \u00b7 reward ${reward(one.reward ?? mean(one))} \u00b7 ${text}${why ? ` (${why})` : ""}`);
    });
    if (cut > 0) rows.splice(1, 0, element("li", { class: "muted" }, `${count(cut)} more between them`));
    document.getElementById("chosen-lineage").replaceChildren(element("ol", {}, ...rows));
  }
}

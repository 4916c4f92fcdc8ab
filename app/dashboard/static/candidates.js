/* The table of candidates, and the one that is looked at: its prompt, what changed, where it comes from. */

import { badge, count, element, reward } from "./elements.js";
import { fate, mean } from "./search_state.js";
import { diffElement } from "./word_diff.js";

const STEP = 25;

export class CandidateView {
  #shown = STEP;
  #state;
  #onChosen;
  chosen = null;

  constructor(state, onChosen) {
    this.#state = state;
    this.#onChosen = onChosen;
    document.getElementById("more-candidates").addEventListener("click", () => {
      this.#shown += STEP;
      this.showTable();
    });
    for (const input of document.querySelectorAll('input[name="against"]')) input.addEventListener("change", () => this.#showPrompt());
  }

  showTable() {
    const ranked = this.#state.ranked();
    const body = document.querySelector("#candidates tbody");
    const focused = document.activeElement?.dataset?.candidate;
    body.replaceChildren(...ranked.slice(0, this.#shown).map((one) => this.#row(one)));
    if (focused) body.querySelector(`[data-candidate="${CSS.escape(focused)}"]`)?.focus();
    const left = ranked.length - this.#shown;
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

  #showPrompt() {
    const one = this.#state.candidates.get(this.chosen);
    if (!one) return;
    document.getElementById("chosen-title").textContent = `Candidate ${one.id}`;
    const against = document.querySelector('input[name="against"]:checked').value;
    const other = { parent: this.#state.candidates.get(one.parent)?.prompt, seed: this.#state.seedPrompt, none: null }[against];
    document.getElementById("chosen-prompt").replaceChildren(diffElement(other ?? one.prompt ?? "", one.prompt ?? ""));
    document.getElementById("chosen-rationale").textContent = one.rationale ? `Why it was written: ${one.rationale}` : "";
    this.#showLineage(one.id);
  }

  #showLineage(id) {
    let inner = null;
    for (const one of this.#state.lineage(id)) {
      const { text, why } = fate(one, this.#state);
      const line = `${one.id} \u00b7 round ${one.round} \u00b7 reward ${reward(one.reward ?? mean(one))} \u00b7 ${text}${why ? ` (${why})` : ""}`;
      inner = element("ol", {}, element("li", {}, line, inner));
    }
    document.getElementById("chosen-lineage").replaceChildren(inner ?? "");
  }
}

/* One answer in the playground: it is asked for, shown as it comes, and judged. */

import { streamChat } from "./chat_stream.js";
import { badge, element } from "./elements.js";

const OPTIONS = {
  unaligned: () => ({ align: false }),
  label: (name) => ({ label: name }),
  version: (id) => ({ prompt_version: id }),
};

function optionsOf(value) {
  const [kind, ...rest] = value.split(":");
  return OPTIONS[kind](rest.join(":"));
}

export class Answer {
  constructor(number, value, title, isBlind) {
    this.number = number;
    this.value = value;
    this.title = title;
    this.id = null;
    this.card = element("article", { class: "card answer" });
    this.name = element("span", {}, isBlind ? `Answer ${number}` : title);
    this.state = badge("asked", "running");
    this.text = element("div", {
      class: "text",
      tabindex: "0",
      role: "region",
      "aria-label": `Text of answer ${number}`,
    });
    this.facts = element("p", { class: "hint" });
    this.verdict = element("div", { class: "verdict", role: "status" });
    this.card.append(element("h2", {}, this.name, this.state), this.text, this.facts, this.verdict);
  }

  async run(model, question, isBlind, signal) {
    const began = performance.now();
    try {
      const found = await streamChat(
        { model, messages: [{ role: "user", content: question }], drpo: optionsOf(this.value) },
        { signal, onText: (text) => this.add(text) },
      );
      this.id = found.id;
      this.version = found.version;
      this.show("succeeded", "answered");
      const tokens = found.usage ? `, ${found.usage.completion_tokens} tokens` : "";
      this.facts.textContent = `${((performance.now() - began) / 1000).toFixed(1)} s${tokens}`;
      if (!isBlind) this.reveal();
    } catch (error) {
      if (error.name === "AbortError") this.show("", "stopped");
      else {
        this.show("failed", "failed");
        this.facts.textContent = error.message || "The service cannot be reached.";
      }
    }
  }

  add(text) {
    if (this.text.textContent === "") this.show("running", "writing");
    this.text.append(text);
  }

  show(kind, text) {
    this.state.className = `badge ${kind}`;
    this.state.textContent = text;
  }

  reveal() {
    this.name.textContent = this.title;
    const who = this.version === "none" ? "unaligned" : this.version;
    if (who) this.facts.textContent += ` \u00b7 ${who}`;
  }

  showVerdict({ reward, unscored_reason: reason, criteria }, judge) {
    const head = element("p", { class: "score" });
    if (reward === null) head.append(badge("unscored", "warn"), ` ${reason ?? ""}`);
    else head.append(element("strong", {}, reward.toFixed(2)), element("span", { class: "muted" }, ` of 5, says ${judge}`));
    const list = element("dl", { class: "criteria" });
    for (const { criterion, score, rationale } of criteria) {
      list.append(element("dt", {}, `${criterion}: ${score}`), element("dd", { class: "muted" }, rationale));
    }
    this.verdict.replaceChildren(head, list);
  }
}

/* The playground: one question to two or three versions at once, and a vote on their answers. */

import { post } from "./api.js";
import { streamChat } from "./chat_stream.js";
import { notifyError } from "./notices.js";

const form = document.getElementById("ask");
const places = document.getElementById("answers");
const vote = document.getElementById("vote");
let asking = null;
let answers = [];

const OPTIONS = {
  unaligned: () => ({ align: false }),
  label: (name) => ({ label: name }),
  version: (id) => ({ prompt_version: id }),
};

function optionsOf(value) {
  const [kind, ...rest] = value.split(":");
  return OPTIONS[kind](rest.join(":"));
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

class Answer {
  constructor(number, value, title, isBlind) {
    this.number = number;
    this.value = value;
    this.title = title;
    this.id = null;
    this.card = element("article", "card answer");
    this.name = element("span", "", isBlind ? `Answer ${number}` : title);
    this.state = element("span", "badge running", "asked");
    const heading = element("h2");
    heading.append(this.name, this.state);
    this.text = element("div", "text");
    this.text.tabIndex = 0;
    this.text.setAttribute("role", "region");
    this.text.setAttribute("aria-label", `Text of answer ${number}`);
    this.facts = element("p", "hint");
    this.card.append(heading, this.text, this.facts);
    places.append(this.card);
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
}

function shuffled(items) {
  const left = [...items];
  const found = [];
  while (left.length) found.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return found;
}

async function ask() {
  asking?.abort();
  const round = new AbortController();
  asking = round;
  const fields = new FormData(form);
  const isBlind = fields.get("blind") !== null;
  const sides = [...form.querySelectorAll("select[name=side]")]
    .filter((select) => select.value)
    .map((select) => ({ value: select.value, title: select.selectedOptions[0].textContent }));
  places.replaceChildren();
  vote.hidden = true;
  answers = (isBlind ? shuffled(sides) : sides).map(
    ({ value, title }, index) => new Answer(index + 1, value, title, isBlind),
  );
  document.getElementById("stop").hidden = false;
  const { model } = form.dataset;
  await Promise.all(answers.map((answer) => answer.run(model, fields.get("question"), isBlind, round.signal)));
  if (asking !== round) return;
  asking = null;
  document.getElementById("stop").hidden = true;
  offerVote();
}

function offerVote() {
  const rated = answers.filter((answer) => answer.id);
  if (rated.length < 2) {
    for (const answer of rated) if (answer.name.textContent !== answer.title) answer.reveal();
    return;
  }
  const buttons = rated.map((answer) => voteButton(answer.number, `Answer ${answer.number}`));
  document.getElementById("votes").replaceChildren(...buttons, voteButton(0, "Neither"));
  document.getElementById("voted").textContent =
    "Or press its number. Your vote is kept as feedback on these answers.";
  vote.hidden = false;
}

function voteButton(number, text) {
  const button = element("button", "", `${text} `);
  button.type = "button";
  button.dataset.vote = number;
  button.append(element("kbd", "", String(number)));
  button.addEventListener("click", () => give(number));
  return button;
}

/* The better answer is good and the others are bad; where none is, all are neither. */
async function give(number) {
  const rated = answers.filter((answer) => answer.id);
  const buttons = document.querySelectorAll("[data-vote]");
  for (const button of buttons) button.disabled = true;
  try {
    await Promise.all(
      rated.map((answer) =>
        post("/v1/feedback", {
          response_id: answer.id,
          score: number === 0 ? 0 : answer.number === number ? 1 : -1,
          comment: "compared in the playground",
        }),
      ),
    );
  } catch (error) {
    for (const button of buttons) button.disabled = false;
    notifyError(error);
    return;
  }
  for (const answer of rated) {
    if (answer.name.textContent !== answer.title) answer.reveal();
    answer.card.classList.toggle("preferred", answer.number === number);
  }
  const best = rated.find((answer) => answer.number === number);
  document.getElementById("voted").textContent = best
    ? `Thank you: ${best.title} was better. The vote is kept.`
    : "Thank you: neither was better. The vote is kept.";
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
form?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
document.getElementById("stop")?.addEventListener("click", () => asking?.abort());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const button = vote?.hidden ? null : document.querySelector(`[data-vote="${CSS.escape(event.key)}"]`);
  if (button && !button.disabled) button.click();
});

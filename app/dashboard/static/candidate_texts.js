/* The texts of a job's candidates, each asked for when somebody looks at it, and then kept. */

import { get } from "./api.js";

const MOST_KEPT = 200;

export class CandidateTexts {
  #path;
  #kept = new Map();

  constructor(path) {
    this.#path = path;
  }

  /* Resolves to { prompt, rationale }; null for nobody. */
  async of(id) {
    if (!id) return null;
    if (!this.#kept.has(id)) {
      if (this.#kept.size >= MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value);
      const asked = get(`${this.#path}/candidates/${encodeURIComponent(id)}`);
      asked.catch(() => this.#kept.delete(id));
      this.#kept.set(id, asked);
    }
    const { system_prompt: prompt, rationale } = await this.#kept.get(id);
    return { prompt, rationale };
  }
}

/* What a job's events add up to: candidates and their fates, rounds, counts. Nothing here draws. */

const HELD_OUT_ROUND = -1;

export class SearchState {
  candidates = new Map();
  rounds = [];
  leader = null;
  phase = "queued";
  unscored = 0;
  failures = [];
  gate = null;
  judge = null;

  constructor(seedPrompt) {
    this.seedPrompt = seedPrompt;
  }

  apply(event) {
    this[`_${event.type}`]?.(event);
  }

  /* From a candidate up to the seed prompt. */
  lineage(id) {
    const found = [];
    for (let at = this.candidates.get(id); at && !found.includes(at); at = this.candidates.get(at.parent)) found.push(at);
    return found;
  }

  /* Most promising first: what the search thinks where it has said so, else the mean of what was measured. */
  ranked() {
    const worth = (one) => one.reward ?? mean(one) ?? -Infinity;
    return [...this.candidates.values()].sort(
      (a, b) => (b.id === this.leader) - (a.id === this.leader) || worth(b) - worth(a) || a.order - b.order,
    );
  }

  _candidate(id, more = {}) {
    let one = this.candidates.get(id);
    if (!one) {
      one = { id, parent: null, round: 0, prompt: null, rationale: "", reward: null, dropped: null, kept: [], sum: 0, scored: 0, judged: 0, heldOutSum: 0, heldOut: 0, order: this.candidates.size };
      this.candidates.set(id, one);
    }
    return Object.assign(one, more);
  }

  _search_started({ candidate_id }) {
    this.phase = "search";
    this.leader ??= candidate_id;
    this._candidate(candidate_id, { prompt: this.seedPrompt });
  }

  _candidate_proposed(event) {
    this._candidate(event.candidate_id, {
      parent: event.parent_id,
      round: event.round,
      prompt: event.system_prompt,
      rationale: event.rationale,
    });
  }

  _candidate_kept({ candidate_id, round, reason }) {
    this._candidate(candidate_id).kept.push({ round, reason });
  }

  _candidate_dropped({ candidate_id, round, reason, leader_id, pairs, difference }) {
    this._candidate(candidate_id, { dropped: { round, reason, leader: leader_id, pairs, difference } });
  }

  _proposal_failed({ round, parent_id, reason }) {
    this.failures.push({ round, parent: parent_id, reason });
  }

  _evaluation_finished({ candidate_id, round, reward }) {
    const one = this._candidate(candidate_id);
    const isHeldOut = round === HELD_OUT_ROUND;
    if (reward === null) this.unscored += 1;
    else if (isHeldOut) Object.assign(one, { heldOutSum: one.heldOutSum + reward, heldOut: one.heldOut + 1 });
    else Object.assign(one, { sum: one.sum + reward, scored: one.scored + 1 });
    if (!isHeldOut) one.judged += 1;
  }

  _round_finished({ round, ranking, progress }) {
    for (const { candidate_id, reward } of ranking) if (reward !== null) this._candidate(candidate_id, { reward });
    const best = ranking[0];
    if (best) this.leader = best.candidate_id;
    this.rounds.push({ round, best: best?.candidate_id ?? null, reward: best?.reward ?? null, calls: progress?.calls ?? null });
  }

  _search_finished({ best_candidate_id }) {
    this.leader = best_candidate_id ?? this.leader;
  }

  _gate_started() {
    this.phase = "gate";
  }

  _judge_checked(event) {
    this.judge = event;
  }

  _gate_finished(event) {
    this.gate = event;
  }

  _optimization_finished() {
    this.phase = "finished";
  }
}

export function mean(one) {
  return one.scored ? one.sum / one.scored : null;
}

/* What became of a candidate, in words. */
export function fate(one, { leader, phase }) {
  if (one.id === leader) return { text: "leads", kind: "good" };
  if (!one.dropped) {
    if (!one.judged) return { text: "not tried", kind: "" };
    return phase === "search" ? { text: "in the race", kind: "running" } : { text: "was never dropped", kind: "running" };
  }
  const { round, reason, leader: beater, pairs, difference } = one.dropped;
  const gap = typeof difference === "number" ? `, ${difference.toFixed(2)} on ${pairs} ${pairs === 1 ? "query" : "queries"}` : "";
  return { text: `dropped in round ${round}`, kind: "", why: `${reason}${beater ? ` against ${beater}` : ""}${gap}` };
}

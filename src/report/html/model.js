// The run as the page knows it: tokens in columns, who came from whom, which texts there are. Nothing
// here draws. Indices of tokens are called `index`, places of particles `place`, steps `step`.

/** Bounds of the steps of heat but the last, in nats: the terminal's. */
const HEAT_BOUNDS = [0.1, 0.5, 1, 2];

/** Where more than this many nats of the model's wish were forbidden, model and constraint were in conflict. */
const CONFLICT = 1;

/** A logarithm as it came: `null` is minus infinity. */
const nats = (value) => value ?? -Infinity;

class Run {
  constructor(data) {
    this.data = data;
    this.tokens = data.tokens;
    this.steps = data.steps;
    this.places = data.particles.length;
    this.size = data.tokens.step.length;
    this.#seat();
    this.#survive();
    this.#gather();
  }

  /** The place at the step before `step` that `place` came from. */
  origin(step, place) {
    return this.steps[step - 1].ancestors?.[place] ?? place;
  }

  /** The token that stands last at a place after a step: drawn there or, in a finished text, before; -1 for none. */
  seatAt(step, place) {
    return this.seats[step * this.places + place];
  }

  /** Whether the particle at a place drew a token at a step. */
  drewAt(step, place) {
    const index = this.seatAt(step, place);
    return index >= 0 && this.tokens.step[index] === step;
  }

  #seat() {
    const { step, place } = this.tokens;
    this.seats = new Int32Array(this.steps.length * this.places).fill(-1);
    for (let index = 0; index < this.size; index++) this.seats[step[index] * this.places + place[index]] = index;
    for (let t = 1; t < this.steps.length; t++) {
      for (let p = 0; p < this.places; p++) {
        if (this.seatAt(t, p) < 0 && this.steps[t].weights[p] > 0) {
          this.seats[t * this.places + p] = this.seatAt(t - 1, this.origin(t, p));
        }
      }
    }
  }

  /** Marks the seats that particles with weight at the end come from. */
  #survive() {
    this.surviving = new Uint8Array(this.seats.length);
    this.data.particles.forEach((particle, place) => {
      if (particle.weight > 0) for (const [t, p] of this.seatsBack(this.steps.length - 1, place)) this.surviving[t * this.places + p] = 1;
    });
  }

  /** The seats from (step, place) back to the first step. */
  *seatsBack(step, place) {
    for (let t = step, p = place; t >= 0; t--) {
      yield [t, p];
      if (t > 0) p = this.origin(t, p);
    }
  }

  /** All texts: those alive at the end, heaviest first, and those that were lost, the last first. */
  #gather() {
    const alive = new Map();
    const lost = new Map();
    this.data.particles.forEach(({ last, weight, complete }, place) => {
      if (last === null) return;
      if (weight > 0) {
        const lineage = alive.get(last) ?? { last, places: [], weight: 0, complete, alive: true };
        lineage.places.push(place);
        lineage.weight += weight;
        alive.set(last, lineage);
      } else if (!lost.has(last)) {
        lost.set(last, { last, places: [], weight: 0, complete: false, alive: false });
      }
    });
    const isParent = new Uint8Array(this.size);
    for (const parent of this.tokens.parent) if (parent !== null) isParent[parent] = 1;
    for (let index = 0; index < this.size; index++) {
      if (!isParent[index] && !alive.has(index) && !lost.has(index)) {
        lost.set(index, { last: index, places: [], weight: 0, complete: false, alive: false });
      }
    }
    this.alive = [...alive.values()].sort((a, b) => b.weight - a.weight || a.last - b.last);
    this.lost = [...lost.values()].sort((a, b) => b.last - a.last);
    this.lineages = [...this.alive, ...this.lost];
    this.byLast = new Map(this.lineages.map((lineage) => [lineage.last, lineage]));
  }

  /** What became of a lost text: `{ step, died }`, the step at which its last copy died or was not copied. */
  fate(lineage) {
    let places = new Set([this.tokens.place[lineage.last]]);
    for (let step = this.tokens.step[lineage.last]; step < this.steps.length; step++) {
      const { weights, ancestors } = this.steps[step];
      if (![...places].some((place) => weights[place] > 0)) return { step, died: true };
      if (!ancestors) continue;
      places = new Set(ancestors.flatMap((ancestor, place) => (places.has(ancestor) ? [place] : [])));
      if (places.size === 0) return { step, died: false };
    }
    return { step: this.steps.length - 1, died: true };
  }

  /** The tokens of a text that ends with `last`, oldest first. */
  path(last) {
    const path = [];
    for (let index = last; index !== null; index = this.tokens.parent[index]) path.push(index);
    return path.reverse();
  }

  /** The text to show for a token: one that ends with it or goes on from it, the heaviest, else the longest. */
  lineageThrough(index) {
    const passes = (lineage) => {
      let at = lineage.last;
      while (at !== null && at > index) at = this.tokens.parent[at];
      return at === index;
    };
    return this.alive.find(passes) ?? this.lost.find(passes) ?? null;
  }

  /** The answer that a living text gave. */
  answerOf(lineage) {
    return this.data.answers.find((answer) => answer.particles.includes(lineage.places[0]));
  }

  surprisal(index) {
    return -nats(this.tokens.model[index]);
  }

  entropy(index) {
    return nats(this.tokens.entropy[index]);
  }

  /** The log-probability in the distribution that was sampled from. */
  samplerLogProb(index) {
    return nats((this.tokens.sampler.length > 0 ? this.tokens.sampler : this.tokens.model)[index]);
  }

  /** The constraint's surprisal: minus ln Z. The bound too, since a sampler that does not weigh takes Z for 1. */
  conflict(index) {
    return -Math.min(nats(this.tokens.z[index]), nats(this.tokens.high[index]));
  }

  /** What a scale of colours shows of a token, in nats. */
  value(scale, index) {
    return scale === "entropy" ? this.entropy(index) : scale === "conflict" ? this.conflict(index) : this.surprisal(index);
  }

  isMasked(index) {
    return (this.tokens.flags[index] & 1) !== 0;
  }

  isForced(index) {
    return (this.tokens.flags[index] & 2) !== 0;
  }

  /** The sums of a text's log-probabilities. */
  logProbs(last) {
    let raw = 0, sampler = 0, constrained = 0;
    for (const index of this.path(last)) {
      raw += nats(this.tokens.model[index]);
      sampler += this.samplerLogProb(index);
      constrained += this.samplerLogProb(index) - nats(this.tokens.z[index]);
    }
    return { raw, sampler, constrained };
  }

  /** What else could have come at a token: `{ text, logProb, allowed, asked }`; allowed is null where nobody asked. */
  alternatives(index) {
    const flat = this.tokens.alternatives[index];
    const found = [];
    for (let at = 0; at < flat.length; at += 3) {
      const verdict = flat[at + 2] & 3;
      found.push({
        text: this.data.texts[flat[at]],
        logProb: nats(flat[at + 1]),
        allowed: verdict === 2 ? null : verdict === 1,
        asked: (flat[at + 2] & 4) !== 0,
      });
    }
    return found;
  }

  /** A token's own text: a string, or an array of bytes that are no UTF-8. */
  tokenText(index) {
    return this.data.texts[this.tokens.text[index]];
  }

  /**
   * The tokens of a path with what each shows: a character that is written in several tokens is shown at
   * the first of them, the others are marked as its parts.
   */
  pieces(path) {
    const pieces = [];
    let open = []; // the pieces of a character that is not whole yet
    let bytes = [];
    const close = (whole) => {
      if (whole !== null) open.forEach((piece, at) => Object.assign(piece, at === 0 ? { text: whole } : { text: "", part: true }));
      [open, bytes] = [[], []];
    };
    for (const index of path) {
      const own = this.tokenText(index);
      const piece = { index, text: typeof own === "string" ? own : hex(own), part: false };
      pieces.push(piece);
      if (typeof own === "string" && open.length === 0) continue;
      if (typeof own === "string") {
        close(null);
        continue;
      }
      open.push(piece);
      bytes.push(...own);
      const whole = decoded(bytes);
      if (whole !== null || open.length > 6) close(whole);
    }
    return pieces;
  }

  /** The whole text, for lists. */
  textOf(last) {
    return this.pieces(this.path(last)).map((piece) => piece.text).join("");
  }
}

/** Bytes as text; `null` where they are no UTF-8. */
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

/** Bytes as they are shown where they are no text. */
function hex(bytes) {
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

/** The step of heat of a number of nats, from 0 to 4. */
function heat(value) {
  const step = HEAT_BOUNDS.findIndex((bound) => value < bound);
  return step < 0 ? HEAT_BOUNDS.length : step;
}

/** What is chosen: a text and one of its tokens. Views listen for "change". */
class Selection extends EventTarget {
  lineage = null;
  token = null;

  /** Chooses a text, and a token of it: its first where none is named. */
  choose(lineage, token, path) {
    this.lineage = lineage;
    this.token = token ?? path[0] ?? null;
    this.dispatchEvent(new Event("change"));
  }
}

// The genealogy of the particles over the steps, and under it, on the same axis, the effective sample size
// and the evidence so far. One canvas holds the picture, one above it what is chosen and pointed at, so that
// pointing costs nothing on large runs.

const LEFT = 58, RIGHT = 18, TOP = 28, CURVE = 82, GAP = 30, AXIS = 26;

/** Widths of lines by weight: up to so many times the mean weight, so many pixels. */
const WIDTHS = [[0.1, 0.7], [0.6, 1.1], [1.6, 1.7], [4, 2.5], [Infinity, 3.6]];

class Timeline {
  constructor(run, selection) {
    this.run = run;
    this.selection = selection;
    this.cursor = null;
    this.box = byId("timeline");
    new ResizeObserver(() => this.paint()).observe(this.box);
    selection.addEventListener("change", () => { this.#follow(); this.#paintOver(); });
    this.box.addEventListener("pointermove", (event) => this.#point(event));
    this.box.addEventListener("pointerleave", () => this.#move(null));
    this.box.addEventListener("click", (event) => { this.#point(event); this.#choose(); });
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("focus", () => { if (this.box.matches(":focus-visible")) this.#move(this.cursor ?? this.#chosenSeat()); });
    this.#explain();
    this.#move(null);
    byId("steps-table").addEventListener("toggle", () => this.#table(), { once: true });
  }

  /** Sizes for the room there is: pixels a step, pixels a place, where the curves begin. */
  #layout() {
    const { run } = this;
    const steps = Math.max(run.steps.length, 1);
    this.each = Math.max(2, Math.min(70, (this.box.clientWidth - LEFT - RIGHT) / steps));
    this.row = Math.max(5, Math.min(24, 340 / Math.max(run.places, 1)));
    this.width = Math.max(this.box.clientWidth, LEFT + RIGHT + steps * this.each);
    this.essTop = TOP + run.places * this.row + GAP;
    this.hasEvidence = run.data.evidence_number !== null;
    this.evidenceTop = this.essTop + CURVE + GAP;
    this.bottom = this.hasEvidence ? this.evidenceTop + CURVE : this.essTop + CURVE;
    this.height = this.bottom + AXIS;
  }

  /** Where a step stands; -1 is the start. */
  x(step) {
    return LEFT + (step + 1) * this.each - this.each / 2;
  }

  y(place) {
    return TOP + (place + 0.5) * this.row;
  }

  /** Draws everything. */
  paint() {
    if (this.run.steps.length === 0 || this.box.clientWidth === 0) return;
    this.#layout();
    this.context = contextOf(byId("timeline-base"), this.width, this.height);
    this.context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    this.colours = Object.fromEntries(["ink", "soft", "line", "accent", "accent-soft", "mark", "lost", "surface"].map((name) => [name, colour(`--${name}`)]));
    this.#resamplings();
    this.#edges();
    if (this.each >= 4) this.#signs();
    this.#placeAxis();
    this.#ess();
    if (this.hasEvidence) this.#evidence();
    this.#stepAxis();
    this.#paintOver();
  }

  /** The lines from each token to its parent, in as few strokes as there are looks. */
  #edges() {
    const { run, context } = this;
    const looks = new Map();
    run.steps.forEach(({ weights }, step) => {
      for (let place = 0; place < run.places; place++) {
        if (run.seatAt(step, place) < 0) continue;
        const before = step === 0 ? place : run.origin(step, place);
        const width = WIDTHS.findIndex(([most]) => weights[place] * run.places <= most);
        const alive = run.surviving[step * run.places + place];
        const look = `${alive}${run.drewAt(step, place) ? 1 : 0}${width}`;
        if (!looks.has(look)) looks.set(look, new Path2D());
        this.#edge(looks.get(look), step, before, place);
      }
    });
    context.lineCap = "round";
    // Those that were lost first, so that they lie under what lives.
    for (const look of [...looks.keys()].sort()) {
      context.strokeStyle = look[0] === "1" ? this.colours.accent : this.colours.lost;
      context.lineWidth = look[1] === "1" ? Math.min(WIDTHS[look[2]][1], this.row * 0.5) : 1;
      context.setLineDash(look[1] === "1" ? [] : [1, 4]);
      context.stroke(looks.get(look));
    }
    context.setLineDash([]);
  }

  #edge(path, step, from, to) {
    const [x0, x1, y0, y1] = [this.x(step - 1), this.x(step), this.y(from), this.y(to)];
    path.moveTo(Math.max(x0, LEFT), y0);
    if (y0 === y1 || this.each < 8) path.lineTo(x1, y1);
    else path.bezierCurveTo(x0 + this.each * 0.55, y0, x1 - this.each * 0.55, y1, x1, y1);
  }

  /** Dots where tokens were drawn, squares where texts ended, crosses where particles died. */
  #signs() {
    const { run, context } = this;
    const dots = this.each >= 11 && this.row >= 8;
    run.steps.forEach(({ weights }, step) => {
      for (let place = 0; place < run.places; place++) {
        const [x, y, index] = [this.x(step), this.y(place), run.seatAt(step, place)];
        const wasThere = step === 0 || run.seatAt(step - 1, run.origin(step, place)) >= 0;
        if (weights[place] === 0 && wasThere && !run.drewAt(step, place)) this.#cross(x, y);
        if (index < 0 || !run.drewAt(step, place)) continue;
        const ends = run.tokenText(index) === "";
        if (!dots && !ends) continue;
        context.fillStyle = run.surviving[step * run.places + place] ? this.colours.accent : this.colours.lost;
        if (ends) context.fillRect(x - 3, y - 3, 6, 6);
        else {
          context.beginPath();
          context.arc(x, y, Math.min(1.3 + 1.3 * Math.sqrt(weights[place] * run.places), 4.5), 0, 7);
          context.fill();
        }
      }
    });
  }

  #cross(x, y) {
    const { context } = this;
    context.strokeStyle = this.colours.mark;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x - 3 * side, y - 3);
      context.lineTo(x + 3 * side, y + 3);
    }
    context.stroke();
  }

  #resamplings() {
    const { run, context } = this;
    context.fillStyle = this.colours["accent-soft"];
    run.steps.forEach((step, at) => {
      if (step.ancestors) context.fillRect(this.x(at), TOP - 2, Math.max(this.each, 1.5), this.bottom - TOP + 2);
    });
  }

  #label(text, x, y, align = "right", colour = this.colours.soft) {
    const { context } = this;
    context.fillStyle = colour;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.fillText(text, x, y);
  }

  #placeAxis() {
    this.#label("Particles", LEFT, TOP - 15, "left", this.colours.ink);
    const every = Math.ceil(14 / this.row);
    for (let place = 0; place < this.run.places; place += every) this.#label(String(place), LEFT - 12, this.y(place));
  }

  #stepAxis() {
    const steps = this.run.steps.length;
    this.#label("step", LEFT - 12, this.bottom + 14);
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((every) => every * this.each >= 44) ?? 2000;
    for (let step = 0; step < steps; step += every) this.#label(String(step), this.x(step), this.bottom + 14, "center");
  }

  /** The frame of a curve: its name, lines with labels at heights from 0 to 1. */
  #frame(top, name, ticks) {
    const { context } = this;
    this.#label(name, LEFT, top - 13, "left", this.colours.ink);
    context.lineWidth = 1;
    context.strokeStyle = this.colours.line;
    for (const [height, label] of ticks) {
      const y = Math.round(top + CURVE * (1 - height)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.x(this.run.steps.length - 1), y);
      context.stroke();
      this.#label(label, LEFT - 12, y);
    }
  }

  /** A curve of points (x, height), with the area under it. */
  #curve(top, points) {
    const { context } = this;
    const line = new Path2D();
    points.forEach(([x, height], at) => line[at === 0 ? "moveTo" : "lineTo"](x, top + CURVE * (1 - height)));
    const area = new Path2D(line);
    area.lineTo(points.at(-1)[0], top + CURVE);
    area.lineTo(points[0][0], top + CURVE);
    context.globalAlpha = 0.13;
    context.fillStyle = this.colours.accent;
    context.fill(area);
    context.globalAlpha = 1;
    context.strokeStyle = this.colours.accent;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.stroke(line);
  }

  #ess() {
    const { run, context } = this;
    const points = [[LEFT, 1]];
    run.steps.forEach((step, at) => {
      points.push([this.x(at), step.ess / run.places]);
      // Copies of equal weight are as good as new.
      if (step.ancestors) points.push([this.x(at) + this.each / 2, 1]);
    });
    this.#frame(this.essTop, "Effective sample size", [[0, "0"], [1, String(run.places)]]);
    this.#curve(this.essTop, points);
    const threshold = run.data.options.ess_threshold;
    if (threshold <= 0 || threshold >= 1) return;
    const y = this.essTop + CURVE * (1 - threshold);
    context.setLineDash([4, 4]);
    context.lineWidth = 1;
    context.strokeStyle = this.colours.mark;
    context.beginPath();
    context.moveTo(LEFT, y);
    context.lineTo(this.x(run.steps.length - 1), y);
    context.stroke();
    context.setLineDash([]);
    this.#label(String(+(threshold * run.places).toPrecision(3)), LEFT - 12, y, "right", this.colours.mark);
  }

  #evidence() {
    const logs = this.run.steps.map((step) => nats(step.log_evidence));
    const lowest = Math.min(-0.05, ...logs.filter(Number.isFinite)) * 1.04;
    const height = (log) => (Number.isFinite(log) ? 1 - Math.min(log, 0) / lowest : 0);
    const decades = Math.ceil(-lowest / Math.LN10 / 4);
    const ticks = [[1, "1"]];
    for (let power = -decades; power * Math.LN10 > lowest; power -= decades) {
      ticks.push([height(power * Math.LN10), power < -3 ? `1e${power}` : (10 ** power).toPrecision(1)]);
    }
    if (ticks.length === 1) ticks.push([0, probability(lowest)]);
    this.#frame(this.evidenceTop, "Evidence so far (log scale)", ticks.map(([at, label]) => [at, shortened(label)]));
    this.#curve(this.evidenceTop, [[LEFT, 1], ...logs.map((log, at) => [this.x(at), height(log)])]);
  }

  /** The chosen text's way, the chosen token, and the step that is pointed at. */
  #paintOver() {
    if (!this.colours) return;
    const { run } = this;
    const context = contextOf(byId("timeline-over"), this.width, this.height);
    const end = this.#chosenEnd();
    if (end) {
      const way = new Path2D();
      for (const [step, place] of run.seatsBack(...end)) this.#edge(way, step, step === 0 ? place : run.origin(step, place), place);
      context.strokeStyle = this.colours.surface;
      context.lineWidth = 4.5;
      context.stroke(way);
      context.strokeStyle = this.colours.mark;
      context.lineWidth = 2.2;
      context.stroke(way);
    }
    const seat = this.#chosenSeat();
    if (seat) this.#ring(context, seat, this.colours.mark, 4.5);
    if (this.cursor) {
      const [step] = this.cursor;
      context.fillStyle = this.colours.ink;
      context.globalAlpha = 0.35;
      context.fillRect(this.x(step) - 0.5, TOP - 4, 1, this.bottom - TOP + 4);
      context.globalAlpha = 1;
      this.#ring(context, this.cursor, this.colours.ink, 6);
    }
  }

  #ring(context, [step, place], colour, radius) {
    context.beginPath();
    context.arc(this.x(step), this.y(place), radius, 0, 7);
    context.fillStyle = this.colours.surface;
    context.fill();
    context.lineWidth = 2.2;
    context.strokeStyle = colour;
    context.stroke();
  }

  /** The last seat of the chosen text. */
  #chosenEnd() {
    const { lineage } = this.selection;
    if (!lineage) return null;
    if (lineage.alive) return [this.run.steps.length - 1, lineage.places[0]];
    return [this.run.tokens.step[lineage.last], this.run.tokens.place[lineage.last]];
  }

  /** Where the chosen token was drawn. */
  #chosenSeat() {
    const { token } = this.selection;
    return token === null ? null : [this.run.tokens.step[token], this.run.tokens.place[token]];
  }

  /** Scrolls to the chosen token where it is out of sight. */
  #follow() {
    const seat = this.#chosenSeat();
    if (!seat || this.width <= this.box.clientWidth) return;
    const x = this.x(seat[0]);
    if (x < this.box.scrollLeft + LEFT || x > this.box.scrollLeft + this.box.clientWidth - RIGHT) this.box.scrollLeft = x - this.box.clientWidth / 2;
  }

  #point(event) {
    if (!this.colours) return;
    const { left, top } = byId("timeline-base").getBoundingClientRect();
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    const step = clamp(Math.round((event.clientX - left - LEFT) / this.each - 0.5), this.run.steps.length - 1);
    const place = clamp(Math.floor((event.clientY - top - TOP) / this.row), this.run.places - 1);
    byId("readout").setAttribute("aria-live", "off");
    this.#move([step, place]);
  }

  /** Points at a seat, or nowhere. */
  #move(cursor) {
    this.cursor = cursor;
    this.#paintOver();
    byId("readout").replaceChildren(...(cursor ? this.#told(...cursor) : ["Point at a place, or walk with the arrow keys, to read it; click or press Enter to choose its text."]));
  }

  #told(step, place) {
    const { run } = this;
    const { ess, log_evidence, weights, ancestors } = run.steps[step];
    const index = run.seatAt(step, place);
    const told = [el("b", {}, `Step ${step}, particle ${place}`)];
    if (index < 0) told.push(weights[place] > 0 ? ": not in this record" : ": dead");
    else {
      told.push(`: weight ${share(weights[place])}, `, run.drewAt(step, place) ? "drew " : "finished before with ");
      told.push(el("code", {}, tokenLabel(run.tokenText(index))));
    }
    told.push(` · effective sample size ${ess.toFixed(1)} of ${run.places}`);
    if (this.hasEvidence) told.push(` · evidence so far ${probability(nats(log_evidence))}`);
    if (ancestors) told.push(` · resampled: ${count(new Set(ancestors).size, "particle")} went on, this one ${times(ancestors.filter((from) => from === place).length)}`);
    return told;
  }

  #choose() {
    if (!this.cursor) return;
    const index = this.run.seatAt(...this.cursor);
    const lineage = index < 0 ? null : this.run.lineageThrough(index);
    if (lineage) this.selection.choose(lineage, index, this.run.path(lineage.last));
  }

  #key(event) {
    const { run } = this;
    if (!this.cursor) this.cursor = this.#chosenSeat() ?? [0, 0];
    const [step, place] = this.cursor;
    const last = run.steps.length - 1;
    const to = {
      ArrowLeft: () => (step > 0 ? [step - 1, run.origin(step, place)] : [step, place]),
      ArrowRight: () => (step < last ? [step + 1, this.#heir(step, place)] : [step, place]),
      ArrowUp: () => [step, Math.max(place - 1, 0)],
      ArrowDown: () => [step, Math.min(place + 1, run.places - 1)],
      Home: () => [0, [...run.seatsBack(step, place)].at(-1)[1]],
      End: () => [last, place],
    }[event.key];
    if (to) {
      event.preventDefault();
      byId("readout").setAttribute("aria-live", "polite");
      this.#move(to());
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#choose();
    }
  }

  /** A place at the next step that this one goes on at: one that lives to the end, if any does. */
  #heir(step, place) {
    const { run } = this;
    const heirs = [...Array(run.places).keys()].filter((other) => run.origin(step + 1, other) === place);
    return heirs.find((heir) => run.surviving[(step + 1) * run.places + heir]) ?? heirs[0] ?? place;
  }

  #explain() {
    const line = (name, words, style = "solid") => el("span", {}, el("i", { style: `border-top: 2.5px ${style} var(--${name})` }), words);
    byId("timeline-key").replaceChildren(
      line("accent", "lives to the end"),
      line("lost", "lost"),
      line("mark", "the chosen text"),
      el("span", {}, el("i", { style: "border: 0; height: 12px; background: var(--accent-soft)" }), "resampling"),
      el("span", {}, "Wider lines weigh more."),
    );
  }

  /** The numbers of the picture, for those who want to read them. */
  #table() {
    const heads = ["step", "effective sample size", "evidence so far", "largest weight", "still writing", "resampled to"];
    const rows = this.run.steps.map((step, at) => [
      at,
      step.ess.toFixed(2),
      this.hasEvidence ? probability(nats(step.log_evidence)) : "–",
      share(Math.max(...step.weights)),
      step.unfinished,
      step.ancestors ? `${new Set(step.ancestors).size} of ${this.run.places}` : "",
    ]);
    const table = el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, String(cell)))))),
    );
    byId("steps-table").querySelector(".scroll").replaceChildren(table);
  }
}

const times = (number) => (number === 0 ? "not" : number === 1 ? "once" : `${number} times`);

/** A tick's label without needless digits: 1e-7 stays, 0.010 becomes 0.01. */
const shortened = (label) => label.replace(/e([+-])0*/, "e$1").replace(/^(0\.\d*?)0+$/, "$1");

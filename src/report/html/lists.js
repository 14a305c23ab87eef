// The lists at the left: answers with their probabilities as bars, particles and lost texts with their
// heat as strips. A row chooses its text.

/** Rows that are made before someone asks for more. */
const FIRST_ROWS = 100;

class Lists {
  constructor(run, selection) {
    this.run = run;
    this.selection = selection;
    this.all = false;
    this.heaviest = run.lineages.length > 0 ? run.textOf(run.lineages[0].last) : "";
    this.lists = [
      { name: "Answers", items: run.data.answers.map((answer) => this.#ofAnswer(answer)), note: "Distinct texts, by posterior probability." },
      { name: "Particles", items: run.alive.map((lineage) => this.#ofParticle(lineage)), note: "Texts alive at the end, by weight; copies are joined. Strips show the surprisal of each token." },
      { name: "Lost", items: run.lost.map((lineage) => this.#ofLost(lineage)), note: this.#aboutLost() },
    ];
    this.strips = new IntersectionObserver((entries) => this.#seen(entries), { root: byId("rows"), rootMargin: "200px" });
    this.#tabs();
    this.open(this.lists.find((list) => list.items.length > 0) ?? this.lists[0]);
    byId("rows").addEventListener("keydown", (event) => this.#key(event));
    byId("more").addEventListener("click", () => { this.all = true; this.#fill(); });
    selection.addEventListener("change", () => this.#mark());
  }

  #aboutLost() {
    if (!this.run.data.history) return "This record keeps no history: texts that were lost are not in it.";
    return "Texts that died or were not copied at a resampling, the last first.";
  }

  #ofAnswer(answer) {
    const lineage = this.run.byLast.get(this.run.data.particles[answer.particles[0]].last);
    const largest = this.run.data.answers[0].probability;
    const from = answer.particles.length === 1 ? `from particle ${answer.particles[0]}` : `from ${count(answer.particles.length, "particle")}`;
    return {
      is: (other) => other?.alive && other.places.some((place) => answer.particles.includes(place)),
      lineage,
      label: `probability ${share(answer.probability)}: ${excerpt(answer.text, 120)}`,
      content: () => [
        el("span", { class: "share" }, share(answer.probability)),
        bar(answer.probability / largest),
        el("span", { class: "what" }, this.#apart(answer.text, this.run.data.answers[0].text) || "(the empty text)"),
        el("span", { class: "about" }, from),
      ],
    };
  }

  #ofParticle(lineage) {
    const places = lineage.places.length === 1 ? `particle ${lineage.places[0]}` : `particles ${lineage.places.join(", ")}`;
    return {
      is: (other) => other === lineage,
      lineage,
      label: `${places}, weight ${share(lineage.weight)}`,
      content: () => [
        el("span", { class: "share" }, share(lineage.weight)),
        bar(lineage.weight / this.run.alive[0].weight),
        el("canvas", { class: "strip", "aria-hidden": "true" }),
        el("span", { class: "what" }, this.#apart(this.run.textOf(lineage.last), this.heaviest)),
        el("span", { class: "about" }, places),
      ],
    };
  }

  #ofLost(lineage) {
    return {
      is: (other) => other === lineage,
      lineage,
      label: `lost at step ${this.run.tokens.step[lineage.last]}`,
      content: () => [
        el("span", { class: "share soft" }, String(this.run.fate(lineage).step)),
        el("canvas", { class: "strip", "aria-hidden": "true", style: "align-self: center" }),
        el("span", { class: "what" }, this.#apart(this.run.textOf(lineage.last), this.heaviest)),
        el("span", { class: "about" }, fateInWords(this.run.fate(lineage))),
      ],
    };
  }

  /** A text cut to where it parts from the first one of its list: long texts often share their beginning. */
  #apart(text, first) {
    let same = 0;
    while (same < text.length && text[same] === first[same]) same++;
    return same < text.length && same > 50 ? `…${excerpt(text.slice(same - 24))}` : excerpt(text);
  }

  #tabs() {
    this.buttons = this.lists.map((list, at) => {
      const properties = { type: "button", role: "tab", "aria-controls": "rows", disabled: list.items.length === 0, onclick: () => this.open(list) };
      return byId("tabs").appendChild(el("button", { ...properties, id: `tab-${at}` }, list.name, el("small", {}, String(list.items.length))));
    });
    byId("tabs").addEventListener("keydown", (event) => {
      const open = this.buttons.filter((button) => !button.disabled);
      const to = moved(event.key, open.indexOf(event.target), open.length, { next: "ArrowRight", back: "ArrowLeft" });
      if (to === null) return;
      event.preventDefault();
      open[to].focus();
      open[to].click();
    });
  }

  /** Shows a list. */
  open(list) {
    this.list = list;
    this.all = false;
    this.lists.forEach((other, at) => {
      this.buttons[at].setAttribute("aria-selected", String(other === list));
      this.buttons[at].tabIndex = other === list ? 0 : -1;
    });
    byId("list-note").textContent = list.note;
    byId("rows").setAttribute("aria-label", list.name);
    this.#fill();
  }

  #fill() {
    this.strips.disconnect();
    const items = this.all ? this.list.items : this.list.items.slice(0, FIRST_ROWS);
    this.rows = items.map((item) => {
      const row = el("li", { class: "row", role: "option", "aria-label": item.label, onclick: () => this.#choose(item) }, ...item.content());
      const strip = row.querySelector(".strip");
      if (strip) this.strips.observe(strip);
      if (strip) strip.lineage = item.lineage;
      return row;
    });
    byId("rows").replaceChildren(...this.rows);
    const more = this.list.items.length - items.length;
    byId("more").hidden = more === 0;
    byId("more").textContent = `Show ${count(more, "more text")}`;
    this.#mark();
  }

  #choose(item) {
    this.selection.choose(item.lineage, null, this.run.path(item.lineage.last));
  }

  #mark() {
    let chosen = -1;
    this.rows.forEach((row, at) => {
      const is = Boolean(this.list.items[at].is(this.selection.lineage));
      if (is && chosen < 0) chosen = at;
      row.setAttribute("aria-selected", String(is));
      row.tabIndex = -1;
    });
    const stop = this.rows[Math.max(chosen, 0)];
    if (stop) stop.tabIndex = 0;
  }

  #key(event) {
    const at = this.rows.indexOf(event.target.closest(".row"));
    const to = moved(event.key, at, this.rows.length);
    if (to === null) return;
    event.preventDefault();
    this.#choose(this.list.items[to]);
    this.rows[to].focus();
  }

  /** Strips are drawn when they come into view. */
  #seen(entries) {
    for (const { isIntersecting, target } of entries) if (isIntersecting) drawStrip(target, this.run);
  }

  /** Draws the strips again, in the colours of another theme. */
  repaint() {
    for (const row of this.rows) {
      const strip = row.querySelector(".strip");
      if (strip?.width > 0 && strip.drawn) drawStrip(strip, this.run);
    }
  }
}

function bar(fraction) {
  const fill = el("i");
  fill.style.width = `${100 * Math.min(fraction, 1)}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, fill);
}

function fateInWords({ step, died }) {
  return died ? `died at step ${step}` : `not copied at the resampling after step ${step}`;
}

/** A text's surprisal as a strip, as long as the text is of the longest. */
function drawStrip(canvas, run) {
  canvas.drawn = true;
  const width = canvas.clientWidth || 200;
  const path = run.path(canvas.lineage.last);
  const context = contextOf(canvas, width, 7);
  canvas.style.width = "";
  const colours = ["--sunken", "--heat-1", "--heat-2", "--heat-3", "--heat-4"].map(colour);
  const each = width / Math.max(run.steps.length, 1);
  path.forEach((index, at) => {
    context.fillStyle = colours[heat(run.surprisal(index))];
    context.fillRect(at * each, 0, Math.max(each - (each > 5 ? 1 : 0), 0.6), 7);
  });
}

/* Runs inside gr.HTML with `element`, `props`, `trigger` and `watch`. Draws props.value (see ui/playground/slot_board.py) and reports
   what is masked with the event "slot". */
const board = element.querySelector(".slot-board");
const says = element.querySelector(".slot-says");
const make = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

function answer(given, head) {
  const cell = make("div", "said");
  cell.dataset.kind = given.kind;
  const line = make("span", "line");
  line.append(make("b", "", given.word), make("span", "wb-num", given.percent));
  const bar = make("span", "bar");
  const full = make("i");
  full.style.width = `${100 * given.p}%`;
  bar.append(full);
  bar.setAttribute("aria-hidden", "true");
  cell.append(make("span", "head", head), line, bar);
  return cell;
}

function chip(slot, masked) {
  const button = make("button", "slot");
  button.type = "button";
  button.dataset.slot = slot.number;
  button.setAttribute("aria-pressed", masked ? "true" : "false");
  button.title = [`slot ${slot.name}: ${slot.percent} of what this answer reads`, `read by ${slot.readers} of these facts`,
    slot.promotes ? `promotes ${slot.promotes}` : ""].filter(Boolean).join("; ");
  button.setAttribute("aria-label", button.title);
  const ink = make("i");
  ink.style.opacity = Math.min(1, 0.08 + 2.5 * slot.share);
  ink.setAttribute("aria-hidden", "true");
  button.append(ink, make("span", "", slot.name));
  return button;
}

function card(fact, n, v) {
  const made = make("section", "fact");
  const top = make("p", "prompt");
  top.append(make("span", "", fact.prompt), make("b", "", fact.answer ? ` → ${fact.answer}` : ""));
  const answers = make("div", "answers");
  answers.append(...fact.answers.map((each, m) => answer(each, v.heads[m])));
  const slots = make("div", "slots");
  slots.setAttribute("role", "group");
  slots.setAttribute("aria-label", `Slots of “${fact.prompt}”`);
  const all = fact.slots.every((slot) => v.masked.includes(slot.number));
  const every = make("button", "every", all ? "none of them" : `all ${fact.slots.length}`);
  every.type = "button";
  every.dataset.fact = n;
  slots.append(...fact.slots.map((slot) => chip(slot, v.masked.includes(slot.number))), every);
  made.append(top, answers, slots);
  return made;
}

function draw() {
  const v = props.value || { facts: [], masked: [], heads: [], says: "" };
  const active = document.activeElement;
  const kept = active && board.contains(active) ? { ...active.dataset, at: active.closest(".fact") && [...board.children].indexOf(active.closest(".fact")) } : null;
  says.textContent = v.says;
  board.replaceChildren(...v.facts.map((fact, n) => card(fact, n, v)));
  if (!kept || kept.at < 0 || !board.children[kept.at]) return;
  const name = kept.slot === undefined ? "button.every" : `button[data-slot="${Number(kept.slot)}"]`;
  const again = board.children[kept.at].querySelector(name);
  if (again) again.focus();
}

board.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const v = props.value;
  const masked = new Set(v.masked);
  if (button.dataset.slot !== undefined) {
    const slot = Number(button.dataset.slot);
    if (!masked.delete(slot)) masked.add(slot);
  } else {
    const mine = v.facts[Number(button.dataset.fact)].slots.map((slot) => slot.number);
    const all = mine.every((slot) => masked.has(slot));
    mine.forEach((slot) => (all ? masked.delete(slot) : masked.add(slot)));
  }
  props.value = { ...v, masked: [...masked] };
  trigger("slot");
});
watch("value", draw);
draw();

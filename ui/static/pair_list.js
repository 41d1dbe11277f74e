/* Runs inside gr.HTML with `element`, `props`, `trigger` and `watch`. Draws props.value (see ui/playground/pair_list.py) and reports
   which pair was chosen with the event "pair". */
const table = element.querySelector(".pair-list");
const says = element.querySelector(".pair-says");
const make = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

function answer(given) {
  const cell = make("td");
  cell.dataset.kind = given.kind;
  const line = make("span", "line");
  line.append(make("b", "", given.word), make("span", "wb-num", given.percent));
  const bar = make("span", "bar");
  const full = make("i");
  full.style.width = `${100 * given.p}%`;
  bar.append(full);
  bar.setAttribute("aria-hidden", "true");
  cell.append(line, bar, make("span", "mark", given.kind));
  return cell;
}

function draw() {
  const v = props.value || { pairs: [], chosen: null, heads: [], says: "" };
  const active = document.activeElement;
  const focused = active && table.contains(active) ? active.dataset.pair : null;
  says.textContent = v.says;
  table.replaceChildren();
  if (!v.pairs.length) return;
  const head = make("tr");
  head.append(...["Pair", ...v.heads].map((text) => { const th = make("th", "", text); th.scope = "col"; return th; }));
  const body = make("tbody");
  v.pairs.forEach((pair, n) => {
    const row = make("tr", n === v.chosen ? "chosen" : "");
    const first = make("th");
    first.scope = "row";
    const button = make("button", "", `${pair.key} → ${pair.value}`);
    button.type = "button";
    button.dataset.pair = n;
    button.setAttribute("aria-pressed", n === v.chosen ? "true" : "false");
    first.append(button);
    row.append(first, ...pair.answers.map(answer));
    body.append(row);
  });
  const top = make("thead");
  top.append(head);
  table.append(top, body);
  if (focused !== null) { const again = table.querySelector(`button[data-pair="${Number(focused)}"]`); if (again) again.focus(); }
}

table.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-pair]");
  if (!button) return;
  props.value = { ...props.value, chosen: Number(button.dataset.pair) };
  trigger("pair");
});
watch("value", draw);
draw();

/* Runs inside gr.HTML with `element`, `props`, `trigger` and `watch`. Draws props.value (see ui/playground/head_buttons.py) and reports
   what the user switched with the event "heads". */
const root = element.querySelector(".head-grid");
const says = element.querySelector(".head-grid-says");
const cells = new Map();
let shape = "";
let focused = "L0H0";
const nothing = { layers: 0, heads: 0, kv: 0, off: [], roles: [] };
/* What is off belongs to the hand that switched it: a value from the server whose `off` is null
   says only how the grid looks, and takes back no click that came while it was on its way. */
let switched = [];
const state = () => {
  const value = props.value || nothing;
  return value.off ? value : { ...value, off: switched };
};
const roleOf = (name) => state().roles.find((role) => role.heads.includes(name));
const label = (layer, head) => `L${layer}H${head}`;

function words(name) {
  const v = state();
  const role = roleOf(name);
  return [name, role ? role.head : "", v.off.includes(name) ? "off" : "on"].filter(Boolean).join(" · ");
}

function rest() {
  const n = state().off.length;
  says.textContent = !state().layers ? "The grid appears when the model is loaded."
    : n ? `${n} head${n > 1 ? "s" : ""} off. Esc switches all on.` : "All heads are on. Click one to switch it off.";
}

function commit(off) {
  props.value = { ...state(), off: [...off] };
  paint();
  trigger("heads");
}

function flip(names) {
  const off = new Set(state().off);
  const all = names.every((name) => off.has(name));
  for (const name of names) { if (all) off.delete(name); else off.add(name); }
  commit(off);
}

function paint() {
  const v = state();
  switched = v.off;
  for (const [name, cell] of cells) {
    cell.setAttribute("aria-pressed", v.off.includes(name) ? "true" : "false");
    const role = roleOf(name);
    if (role) cell.dataset.role = role.colour; else delete cell.dataset.role;
    cell.setAttribute("aria-label", `${words(name)}`);
  }
  rest();
}

function build() {
  const v = state();
  const now = `${v.layers}/${v.heads}/${v.kv}`;
  if (now !== shape) {
    shape = now;
    cells.clear();
    root.replaceChildren();
    root.style.setProperty("--heads", v.heads);
    const group = v.kv > 0 && v.kv < v.heads ? v.heads / v.kv : 0;
    for (let layer = 0; layer < v.layers; layer++) {
      const row = document.createElement("button");
      row.type = "button";
      row.className = "layer";
      row.tabIndex = -1;
      row.textContent = layer;
      row.title = `Switch all heads of layer ${layer}`;
      row.setAttribute("aria-label", row.title);
      row.dataset.layer = layer;
      root.append(row);
      for (let head = 0; head < v.heads; head++) {
        const cell = document.createElement("button");
        const name = label(layer, head);
        cell.type = "button";
        cell.className = "head" + (group && head && head % group === 0 ? " new-group" : "");
        cell.title = name;
        cell.dataset.head = name;
        cell.tabIndex = name === focused ? 0 : -1;
        cells.set(name, cell);
        root.append(cell);
      }
    }
    const corner = document.createElement("span");
    corner.className = "axis";
    corner.textContent = "";
    if (v.layers) root.append(corner);
    for (let head = 0; head < v.heads; head++) {
      const axis = document.createElement("span");
      axis.className = "axis";
      axis.textContent = head;
      root.append(axis);
    }
  }
  if (props.value && !props.value.off && switched.length) commit(switched);
  else paint();
}

function move(name) {
  const cell = cells.get(name);
  if (!cell) return;
  const old = cells.get(focused);
  if (old) old.tabIndex = -1;
  focused = name;
  cell.tabIndex = 0;
  cell.focus();
}

root.addEventListener("click", (event) => {
  const cell = event.target.closest("button");
  if (!cell) return;
  if (cell.dataset.head) { focused = cell.dataset.head; flip([cell.dataset.head]); says.textContent = words(cell.dataset.head); }
  else flip([...Array(state().heads).keys()].map((head) => label(Number(cell.dataset.layer), head)));
});
root.addEventListener("keydown", (event) => {
  const at = event.target.dataset && event.target.dataset.head;
  if (event.key === "Escape" && state().off.length) { commit([]); return; }
  if (!at) return;
  const [layer, head] = at.slice(1).split("H").map(Number);
  const v = state();
  const to = {
    ArrowUp: [layer - 1, head], ArrowDown: [layer + 1, head], ArrowLeft: [layer, head - 1], ArrowRight: [layer, head + 1],
    Home: [layer, 0], End: [layer, v.heads - 1], PageUp: [Math.max(0, layer - 5), head], PageDown: [Math.min(v.layers - 1, layer + 5), head],
  }[event.key];
  if (to) { event.preventDefault(); move(label(...to)); }
});
const show = (event) => { const name = event.target.dataset && event.target.dataset.head; if (name) says.textContent = words(name); };
root.addEventListener("pointerover", show);
root.addEventListener("focusin", show);
root.addEventListener("pointerleave", rest);
watch("value", build);
build();

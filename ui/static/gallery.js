/* Filtering and comparing finished runs. What is filtered stands in the address, so that it can be passed on. */
(() => {
  "use strict";
  const place = document.querySelector("[data-runs]");
  const filters = document.getElementById("filters");
  const names = ["q", "analysis", "model"];

  function filter() {
    if (!filters) return;
    const { q, analysis, model } = Object.fromEntries(new FormData(filters));
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const cards = [...place.querySelectorAll(".run")];
    let many = 0;
    for (const card of cards) {
      const { run, analysis: of, model: on } = card.dataset;
      const text = words.length ? `${run} ${of} ${card.querySelector("[data-find]").textContent}`.toLowerCase() : "";
      const fits = (!analysis || of === analysis) && (!model || on === model) && words.every((word) => text.includes(word));
      card.hidden = !fits;
      many += fits;
    }
    document.getElementById("run-count").textContent = many === cards.length ? `${many} in all` : `${many} of ${cards.length}`;
    const none = document.getElementById("no-match");
    if (none) none.hidden = many > 0;
    const address = new URL(location.href);
    for (const name of names) {
      const value = { q, analysis, model }[name];
      if (value) address.searchParams.set(name, value); else address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address);
  }

  function compare() {
    const button = document.getElementById("compare-button");
    if (!button) return;
    const many = place.querySelectorAll("input[name=run]:checked").length;
    button.disabled = many !== 2;
    document.getElementById("compare-hint").textContent =
      ["Select two to see them side by side.", "Select one more.", "Two runs selected."][many] ?? "Select only two.";
    document.getElementById("compare-bar")?.classList.toggle("shown", many > 0);
  }

  if (!place) return;
  if (filters) {
    const address = new URLSearchParams(location.search);
    for (const name of names) {
      const field = filters.elements[name];
      field.value = address.get(name) ?? "";
      // What no run has (any more) filters nothing.
      if (field.selectedIndex === -1) field.value = "";
    }
    filters.addEventListener("input", filter);
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("reset", () => setTimeout(filter));
  }
  place.addEventListener("change", compare);
  document.addEventListener("wb-runs", () => { filter(); compare(); });
  filter();
  compare();
})();

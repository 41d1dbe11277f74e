/* Light or dark, and dismissible messages: the two things every page does.
   Loaded in <head>, before the body is drawn, so that no page flashes in the wrong colours. Clicks are caught at the
   document (through composedPath, since Panel draws inside shadow roots) because Gradio and Panel insert the header
   after this script has run. */
(() => {
  "use strict";
  const YEAR = 31536000;
  const read = (name) => (document.cookie.match(`(?:^|; )${name}=(light|dark)`) || [])[1];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => read("wb-theme") || (system.matches ? "dark" : "light");
  const remember = (name, theme) => { document.cookie = `${name}=${theme}; path=/; max-age=${YEAR}; samesite=lax`; };

  function show(theme) {
    document.documentElement.dataset.theme = theme;
    // Gradio's own dark mode is a class on the body; elsewhere the class means nothing.
    if (document.body) document.body.classList.toggle("dark", theme === "dark");
  }

  show(wanted());
  // Gradio picks its colours from the address while it starts, after this script and before the first picture.
  if (location.pathname.endsWith("/playground/")) {
    const address = new URL(location.href);
    address.searchParams.set("__theme", wanted());
    history.replaceState(history.state, "", address);
  }
  // Pages drawn on the server (Explorer) cannot ask the system: they find its answer here.
  remember("wb-system", system.matches ? "dark" : "light");
  system.addEventListener("change", () => { remember("wb-system", system.matches ? "dark" : "light"); show(wanted()); });
  document.addEventListener("DOMContentLoaded", () => show(wanted()));
  window.addEventListener("pageshow", () => show(wanted()));

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.composedPath().find((node) => node.matches && node.matches(selector));
    const toggle = hit("[data-wb-theme]");
    if (toggle) {
      const next = wanted() === "dark" ? "light" : "dark";
      remember("wb-theme", next);
      show(next);
      // Plots that were coloured on the server are drawn again there; the address carries what was selected.
      if (toggle.dataset.wbTheme === "reload") location.reload();
    }
    const dismiss = hit("[data-wb-dismiss]");
    if (dismiss) dismiss.closest(".wb-message").remove();
  });
})();

/* <wb-view src="runs/…/views/…"> shows one tab of a run that is drawn already: HTML, and pictures that Bokeh draws here.
   The one that is looked at comes first; the others follow one by one while nothing else happens, so that opening them
   later only changes a class. Nothing is measured or drawn twice: hidden tabs keep their width (see explorer.css). */
(() => {
  "use strict";
  const waiting = new Set();
  let busy = false;
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const seen = (view) => getComputedStyle(view).visibility === "visible";  // what is away is hidden, through shadow roots

  async function next() {
    if (busy || !waiting.size) return;
    const view = [...waiting].find(seen) || [...waiting][0];
    waiting.delete(view);
    busy = true;
    try { await view.fill(); } finally { busy = false; }
    if ([...waiting].some(seen)) next();
    else idle(next, { timeout: 2000 });
  }

  customElements.define("wb-view", class extends HTMLElement {
    connectedCallback() {
      if (this.dataset.state) return;
      this.dataset.state = "waiting";
      waiting.add(this);
      // The page's own parts are put up first.
      setTimeout(next, 0);
    }

    disconnectedCallback() { waiting.delete(this); }

    async fill() {
      const answer = await fetch(this.getAttribute("src"), { headers: { Accept: "application/json" } });
      if (!answer.ok) {
        this.dataset.state = "failed";
        this.querySelector(".wb-drawing").textContent = "This view could not be fetched; reload the page to try again.";
        return;
      }
      const { html, items } = await answer.json();
      if (!this.isConnected) return;
      this.innerHTML = html;
      for (const item of items) await Bokeh.embed.embed_item(item, this.querySelector(`#${item.target_id}`));
      this.dataset.state = "drawn";
    }
  });

  // Which tab is looked at has changed: if it is not here yet, it is next.
  document.addEventListener("wb-tab", () => { if ([...waiting].some(seen)) next(); });
})();

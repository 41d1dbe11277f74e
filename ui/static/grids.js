/* Grids that are at work: their bars move, without a reload; when one begins or ends the page's part is fetched again. */
(() => {
  "use strict";
  const EVERY = 2000;
  const cards = () => [...document.querySelectorAll("#grids [data-run]")];

  async function look() {
    if (document.hidden || !document.getElementById("grids")) return;
    const answer = await fetch("grids").catch(() => null);
    if (!answer || !answer.ok) return;
    const grids = await answer.json();
    if (grids.map((grid) => grid.id).join() !== cards().map((card) => card.dataset.run).join()) { await drawAgain(); return; }
    for (const [n, card] of cards().entries()) {
      card.querySelector("progress").value = grids[n].percent;
      card.querySelector("p").textContent = grids[n].says;
      card.querySelector("button").disabled = grids[n].stopping;
    }
  }

  async function drawAgain() {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const [old, now] = [document.getElementById("grids"), page.getElementById("grids")];
    if (old && now) old.replaceWith(now);
  }

  setInterval(() => look().catch(() => {}), EVERY);
})();

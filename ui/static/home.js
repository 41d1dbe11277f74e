/* A comfort of Home; the page works without it. */
(() => {
  "use strict";
  // While the model loads: count the seconds, and show its card as soon as there is one.
  if (document.body.dataset.model === "loading") {
    const seconds = document.getElementById("loading-seconds");
    const poll = setInterval(async () => {
      const answer = await fetch("healthz").catch(() => null);
      if (!answer || !answer.ok) return;
      const { model } = await answer.json();
      if (model.state === "loading") seconds.textContent = Math.round(model.seconds);
      else { clearInterval(poll); location.reload(); }
    }, 1000);
  }
})();

/* A comfort of Home; the page works without it. */
(() => {
  "use strict";
  // While the model loads: count the seconds.
  if (document.body.dataset.model === "loading") {
    const counting = setInterval(async () => {
      const answer = await fetch("healthz").catch(() => null);
      if (!answer || !answer.ok) return;
      const { model } = await answer.json();
      const seconds = document.getElementById("loading-seconds");
      if (model.state !== "loading") { clearInterval(counting); follow(); }
      else if (seconds) seconds.textContent = Math.round(model.seconds);
    }, 1000);
  }
  // Another model, or one that is there now: its card and its questions are drawn again; all else stays as it is.
  async function follow() {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.body.dataset.model = page.body.dataset.model;
    for (const part of [".model", "section[aria-labelledby=questions]"]) {
      const [old, now] = [document.querySelector(part), page.querySelector(part)];
      if (old && now) old.replaceWith(now);
    }
  }
  document.addEventListener("wb-model", follow);
})();

/* Two comforts of Home; the page works without them. */
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
  // Comparing takes exactly two runs.
  const form = document.getElementById("compare");
  const button = document.getElementById("compare-button");
  if (button) {
    const boxes = [...form.querySelectorAll("input[name=run]")];
    const hint = document.getElementById("compare-hint");
    const update = () => {
      const n = boxes.filter((box) => box.checked).length;
      button.disabled = n !== 2;
      hint.textContent = n === 0 ? "Select two to see them side by side." : n === 1 ? "Select one more." : n === 2 ? "Two runs selected." : "Select only two.";
    };
    form.addEventListener("change", update);
    update();
  }
})();

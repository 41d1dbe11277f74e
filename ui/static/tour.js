/* The first visit to Home: three things to know, one after another, with what it speaks of outlined. It asks for
   nothing, can be closed at any time (Esc, Skip), and never comes back. */
(() => {
  "use strict";
  if (/(?:^|; )wb-tour=seen/.test(document.cookie)) return;
  const STEPS = [
    ["section[aria-labelledby=questions] > h2", "Ask a question", "Each question says what you get and how long it takes on this model. Choose one: its form opens, filled in, and Run is one click away."],
    ["section[aria-labelledby=runs] h2", "Open an answer", "Finished runs stay here, sample runs among them: they open at once, without a model. Each can be renamed, compared, and sent as one file."],
    ["header .wb-model", "Change the model", "All pages speak of this model. Choose another here, known or your own; what is running keeps the one it began with."],
  ];
  const box = document.createElement("dialog"), title = document.createElement("h2"), words = document.createElement("p");
  const foot = document.createElement("div"), count = document.createElement("span"), skip = document.createElement("button"), next = document.createElement("button");
  box.className = "tour";
  box.setAttribute("aria-labelledby", "tour-title");
  title.id = "tour-title";
  foot.append(count, skip, next);
  box.append(title, words, foot);
  skip.type = next.type = "button";
  skip.textContent = "Skip";
  skip.className = "wb-button";
  next.className = "wb-button wb-primary";
  const spoken = STEPS.map(([selector, ...text]) => [document.querySelector(selector), ...text]).filter(([place]) => place);
  let step = -1;

  function end() {
    if (step >= 0 && spoken[step]) spoken[step][0].classList.remove("tour-place");
    document.cookie = "wb-tour=seen; path=/; max-age=31536000; samesite=lax";
    box.remove();
  }

  function go() {
    if (step >= 0) spoken[step][0].classList.remove("tour-place");
    step += 1;
    if (step === spoken.length) return end();
    const [place, heading, text] = spoken[step];
    place.classList.add("tour-place");
    // Not `scrollIntoView`: newer browsers would go on from there with the next Tab, past the links at the top.
    const { top, bottom } = place.getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) scrollBy(0, top < 0 ? top : bottom - innerHeight);
    title.textContent = heading;
    words.textContent = text;
    count.textContent = `${step + 1} of ${spoken.length}`;
    next.textContent = step + 1 === spoken.length ? "Done" : "Next";
  }

  skip.addEventListener("click", end);
  next.addEventListener("click", go);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && box.isConnected) end(); });
  if (!spoken.length) return;
  document.body.append(box);
  go();
  // Not modal, and without `show`, which would take the focus: the page can be used meanwhile as it always is.
  box.open = true;
})();

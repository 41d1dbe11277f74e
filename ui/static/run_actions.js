/* Rename, note, pin, hide, delete, restore, copy a link: buttons with data-run-act inside something with data-run.
   Used by Home, the gallery and the Explorer, whose address of Home is the same. */
(() => {
  "use strict";
  const path = (run, word) => `runs/${encodeURIComponent(run)}/${word}`;
  const cut = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

  async function post(address, body = {}) {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
      .catch(() => { throw new Error("The workbench does not answer, so nothing was changed. See whether it still runs."); });
    const said = await answer.json().catch(() => ({ what: "The workbench did not answer as expected." }));
    if (!answer.ok) throw new Error([said.what, said.expected && `Expected: ${said.expected}.`, said.do].filter(Boolean).join(" "));
    return said;
  }

  // ---- what happened ----
  function tell(text, { undo = null, wrong = false } = {}) {
    let line = document.querySelector(".wb-toast");
    if (!line) {
      line = document.body.appendChild(document.createElement("div"));
      line.setAttribute("role", "status");
    }
    line.className = `wb-toast${wrong ? " wrong" : ""}`;
    const words = document.createElement("span");
    words.textContent = text;
    const button = (label, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = label;
      made.addEventListener("click", act);
      return made;
    };
    const buttons = [button("Close", () => line.replaceChildren())];
    if (undo) buttons.unshift(button("Undo", () => { line.replaceChildren(); undo(); }));
    line.replaceChildren(words, ...buttons);
    if (undo) buttons[0].focus();
  }

  // ---- what is asked ----
  function ask(title, { text = "", field = null, value = "", longest = 0, button = "Save" } = {}) {
    return new Promise((resolve) => {
      const dialog = document.body.appendChild(document.createElement("dialog"));
      dialog.className = "wb-dialog";
      dialog.innerHTML = `<form method="dialog"><h2 id="wb-dialog-title"></h2><p></p><div class="wb-dialog-buttons">
        <button class="wb-button" value="" formnovalidate>Cancel</button><button class="wb-button wb-primary" value="yes"></button></div></form>`;
      dialog.setAttribute("aria-labelledby", "wb-dialog-title");
      dialog.querySelector("h2").textContent = title;
      dialog.querySelector("p").textContent = text;
      const yes = dialog.querySelector(".wb-primary");
      yes.textContent = button;
      const input = field && document.createElement(field);
      if (input) {
        Object.assign(input, { value, maxLength: longest, dir: "auto", ariaLabel: title });
        dialog.querySelector("p").after(input);
        // Enter in a line means the first button of a form, which would be Cancel.
        if (field === "input") input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); yes.click(); } });
      }
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(dialog.returnValue === "yes" ? (input ? input.value : true) : null);
      });
      dialog.showModal();
      if (input) { input.focus(); input.select(); }
    });
  }

  // ---- the page after it ----
  async function refresh(run) {
    const place = document.querySelector("[data-runs]");
    if (!place) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const fresh = page.querySelector("[data-runs]");
    if (!fresh) { location.reload(); return; }
    const open = place.querySelector(".trash")?.open;
    const ticked = [...place.querySelectorAll("input[name=run]:checked")].map((box) => box.value);
    place.replaceChildren(...fresh.childNodes);
    const trash = place.querySelector(".trash");
    if (trash && open) trash.open = true;
    for (const box of place.querySelectorAll("input[name=run]")) box.checked = ticked.includes(box.value);
    document.dispatchEvent(new Event("wb-runs"));
    const card = [...place.querySelectorAll("[data-run]")].find((one) => one.dataset.run === run);
    (card?.querySelector("summary") ?? card?.querySelector("button") ?? document.getElementById("main"))?.focus();
  }

  const label = async (run, body, said) => { await post(path(run, "labels"), body); await refresh(run); if (said) tell(said); };
  async function restore(run) {
    const back = await post(`trash/${encodeURIComponent(run)}/restore`);
    await refresh(back.run);
    tell("Restored.");
  }

  const acts = {
    async rename({ run, title }) {
      const given = await ask("Rename this run", { text: "Leave it empty to give back the title it was made with.", field: "input", value: title, longest: 200 });
      if (given !== null && given !== title) await label(run, { title: given });
    },
    async note({ run, note }) {
      const given = await ask("Note", { text: "It is kept in the run's folder and travels with it.", field: "textarea", value: note, longest: 10000 });
      if (given !== null && given !== note) await label(run, { note: given });
    },
    pin: ({ run }) => label(run, { pinned: true }),
    unpin: ({ run }) => label(run, { pinned: false }),
    show: ({ run }) => label(run, { hidden: false }),
    async hide({ run, title }) {
      await label(run, { hidden: true });
      tell(`Hidden: ${cut(title)}`, { undo: () => guarded(() => label(run, { hidden: false })) });
    },
    async delete({ run, title }) {
      const { trash } = await post(path(run, "delete"));
      await refresh();
      tell(`In the trash: ${cut(title)}`, { undo: () => guarded(() => restore(trash)) });
    },
    restore: ({ run }) => restore(run),
    async stop({ run, title }) {
      if (await ask("Stop this grid", { text: "What is done is kept, and the same command goes on with it. What is under way is given up.", button: "Stop" })) {
        await post(path(run, "stop"));
        tell(`Stopping: ${cut(title)}`);
      }
    },
    async empty({ count }) {
      const many = count === "1" ? "the run" : `all ${count} runs`;
      if (await ask("Empty the trash", { text: `This removes ${many} in it for good.`, button: "Remove" })) {
        await post("trash/empty");
        await refresh();
        tell("The trash is empty.");
      }
    },
    async link({ href }) {
      const address = new URL(href, location.href).href;
      try { await navigator.clipboard.writeText(address); tell("Link copied."); } catch { prompt("Copy this link", address); }
    },
  };

  async function guarded(act) {
    try { await act(); } catch (error) { tell(error.message, { wrong: true }); }
  }

  document.addEventListener("click", (event) => {
    const way = event.composedPath();
    const button = way.find((node) => node.dataset?.runAct);
    if (button) {
      const run = way.find((node) => node.dataset?.run !== undefined);
      const note = run?.dataset.note ?? run?.querySelector(".run-note")?.textContent ?? "";
      guarded(() => acts[button.dataset.runAct]({ ...run?.dataset, note, ...button.dataset }));
    }
    // A menu closes when something in it was chosen, and when anything else is.
    for (const menu of document.querySelectorAll("details.menu[open]")) if (button || !way.includes(menu)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  const opener = document.getElementById("open-folder");
  if (opener) opener.addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(async () => {
      const { run } = await post("runs/open", { path: new FormData(opener).get("path") });
      location.href = `explorer?run=${encodeURIComponent(run)}`;
    });
  });
})();

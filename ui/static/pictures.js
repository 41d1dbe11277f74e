/* Every picture that Bokeh draws gets a small menu in its corner: enlarge it, or save it as SVG, PNG or CSV (the numbers
   that are drawn). The menu is put up whenever a figure draws itself, so nobody has to know which pictures a page has. */
(() => {
  "use strict";
  const LOOK = `
    .wb-tools { position: absolute; top: 0; right: 0; z-index: 10; font: 12px/1.4 var(--wb-font, system-ui, sans-serif); }
    .wb-tools > button { opacity: 0; }
    :host(:hover) .wb-tools > button, .wb-tools:focus-within > button { opacity: 1; }
    @media (hover: none) { .wb-tools > button { opacity: .8; } }
    .wb-tools button { font: inherit; color: var(--wb-ink, #222); background: var(--wb-surface, #fff); cursor: pointer;
      border: 1px solid var(--wb-line, #bbb); border-radius: 6px; padding: 1px 7px; min-height: 24px; min-width: 24px; }
    .wb-tools button:focus-visible { outline: 2px solid var(--wb-accent, #36c); }
    .wb-tools div { position: absolute; right: 0; top: 100%; display: flex; flex-direction: column; gap: 2px; padding: 4px;
      background: var(--wb-surface, #fff); border: 1px solid var(--wb-line, #bbb); border-radius: 8px; }
    .wb-tools div[hidden] { display: none; }
    .wb-tools div button { border: 0; text-align: left; white-space: nowrap; }
    .wb-tools div button:hover { background: var(--wb-bg, #eee); }
    :host(:fullscreen) { background: var(--wb-bg, #fff); }`;
  const TITLE = "Enlarge or save this picture";

  const titleOf = (view) => {
    const title = view.model.title;
    return (title && (title.text || title)) || view.model.name || "";
  };

  function nameOf(view) {
    const asked = new URLSearchParams(location.search);
    const words = [asked.get("run"), asked.get("view"), typeof titleOf(view) === "string" ? titleOf(view) : ""];
    return words.filter(Boolean).join(" ").replace(/[^\p{L}\p{N}.−-]+/gu, "-").slice(0, 100) || "picture";
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // Pictures are transparent; what is saved gets the page's colour behind it, since its text is made for that.
  const paper = () => getComputedStyle(document.body).backgroundColor || "#fff";

  function saveSvg(view) {
    const svg = view.export("svg").canvas;
    const behind = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [key, value] of Object.entries({ width: "100%", height: "100%", fill: paper() })) behind.setAttribute(key, value);
    svg.prepend(behind);
    save(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }), `${nameOf(view)}.svg`);
  }

  function savePng(view) {
    const drawn = view.export("png").canvas, whole = document.createElement("canvas");
    [whole.width, whole.height] = [drawn.width, drawn.height];
    const on = whole.getContext("2d");
    on.fillStyle = paper();
    on.fillRect(0, 0, whole.width, whole.height);
    on.drawImage(drawn, 0, 0);
    whole.toBlob((blob) => save(blob, `${nameOf(view)}.png`), "image/png");
  }

  const cell = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "";
    if (Array.isArray(value)) value = value.join(" ");
    // A sheet would read a text that begins like this as a formula.
    const text = typeof value === "string" && /^[=+@\t\r-]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  // What hovering says of a layer, as names and columns: [["head", "name"], ["value", "value"]]; none where it says nothing.
  function told(figure, renderer) {
    for (const tool of figure.toolbar.tools) {
      const layers = tool.renderers, says = tool.tooltips;
      if (!Array.isArray(says) || (Array.isArray(layers) && !layers.includes(renderer))) continue;
      const fields = says.map(([label, text]) => [label, (/^@(?:\{([^}]*)\}|([\w-]+))/.exec(text) || []).slice(1).find(Boolean)]);
      const known = fields.filter(([, name]) => name && renderer.data_source.get_column(name));
      if (known.length) return known;
    }
    return [];
  }

  // A matrix that is one image has a row for each of its cells.
  function* rowsOf(columns) {
    const many = Math.max(0, ...columns.map(([, values]) => values.length));
    for (let n = 0; n < many; n++) {
      const image = columns.map(([, values]) => values[n]).find((value) => value && value.shape && value.shape.length === 2);
      if (!image) {
        yield Object.fromEntries(columns.map(([name, values]) => [name, values[n]]));
        continue;
      }
      const [height, width] = image.shape;
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) yield { row: y, column: x, value: image[y * width + x] };
    }
  }

  // The layers that hovering tells of, in its words; where it tells of none, all that is drawn but colours.
  function table(figure) {
    const layers = figure.renderers.filter((renderer) => renderer.data_source && renderer.visible);
    const spoken = layers.map((layer) => told(figure, layer).map(([label, name]) => [label, layer.data_source.get_column(name)]));
    if (spoken.some((columns) => columns.length)) return spoken.flatMap((columns) => [...rowsOf(columns)]);
    return layers.flatMap((layer, n) => {
      const plain = layer.data_source.columns().filter((name) => !/(^_|color|alpha|^(line|fill|hatch|text)_)/.test(name));
      const columns = plain.map((name) => [name, layer.data_source.get_column(name)]);
      return [...rowsOf(columns)].map((row) => ({ layer: n + 1, ...row }));
    });
  }

  function saveCsv(view) {
    const rows = table(view.model), names = [...new Set(rows.flatMap(Object.keys))];
    const lines = [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(","));
    save(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv;charset=utf-8" }), `${nameOf(view)}.csv`);
  }

  // The picture itself gets the whole screen, so that it hovers and is clicked as before; a size that it was given grows
  // with its shape. None of that is sent to Python.
  async function enlarge(view) {
    if (document.fullscreenElement) return document.exitFullscreen();
    const { model } = view, sizes = ["width", "height", "frame_width", "frame_height"].filter((name) => model[name]);
    const before = Object.fromEntries(sizes.map((name) => [name, model[name]]));
    const { width, height } = view.el.getBoundingClientRect();
    await view.el.requestFullscreen();
    const wide = (innerWidth - 60) / width, high = (innerHeight - 70) / height;
    const grows = (name) => (model.sizing_mode === "stretch_width" ? high : Math.min(wide, high));
    model.setv(Object.fromEntries(sizes.map((name) => [name, Math.floor(before[name] * grows(name))])), { sync: false });
    document.addEventListener("fullscreenchange", function back() {
      if (document.fullscreenElement) return;
      document.removeEventListener("fullscreenchange", back);
      model.setv(before, { sync: false });
      view.invalidate_layout();
    });
  }

  function attach(view) {
    const look = document.createElement("style"), tools = document.createElement("div");
    look.textContent = LOOK;
    tools.className = "wb-tools";
    const open = document.createElement("button"), menu = document.createElement("div");
    Object.assign(open, { type: "button", textContent: "⋯", title: TITLE });
    open.setAttribute("aria-label", TITLE);
    open.setAttribute("aria-expanded", "false");
    menu.hidden = true;
    const show = (on) => { menu.hidden = !on; open.setAttribute("aria-expanded", String(on)); };
    open.addEventListener("click", () => show(menu.hidden));
    const does = [["Save as SVG", saveSvg], ["Save as PNG", savePng], ["Save as CSV (the numbers)", saveCsv]];
    if (document.fullscreenEnabled) does.unshift(["Enlarge", enlarge]);
    for (const [words, act] of does) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: words });
      button.addEventListener("click", () => { show(false); open.focus(); act(view); });
      menu.append(button);
    }
    tools.append(open, menu);
    tools.addEventListener("keydown", (event) => { if (event.key === "Escape" && !menu.hidden) { show(false); open.focus(); event.stopPropagation(); } });
    tools.addEventListener("focusout", (event) => { if (!tools.contains(event.relatedTarget)) show(false); });
    // What is pressed here is no click on the picture.
    for (const kind of ["pointerdown", "pointerup", "click", "wheel", "keydown"]) tools.addEventListener(kind, (event) => event.stopPropagation());
    tools.prepend(look);
    view.shadow_el.querySelectorAll(".wb-tools").forEach((old) => old.remove());  // a figure may draw itself again
    view.shadow_el.append(tools);
  }

  function begin() {
    const figures = Bokeh.Models.get("Figure").prototype.default_view.prototype, render = figures.render;
    figures.render = function () {
      render.call(this);
      attach(this);
    };
  }
  if (window.Bokeh) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();

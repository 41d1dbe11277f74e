/* Two runs side by side: a picture of run A and the picture of run B with the same title get one scale, the wider of both on
   each axis and for colours, so that what looks longer or darker is more. Halves are marked `wb-run-A` and `wb-run-B`
   (`ui/explorer/tabs.py`). None of it is sent to Python. */
(() => {
  "use strict";
  const HALF = /\bwb-run-([AB])\b/;
  const drawn = new Map();  // by pair of halves: by title: the figures of A and of B, from top to bottom

  function halfOf(view) {
    for (let node = view.el; node; node = node.parentNode || node.host) {
      const half = node.className && typeof node.className === "string" && HALF.exec(node.className);
      if (half) return { name: half[1], pair: node.parentNode };
    }
    return null;
  }

  const wider = (a, b) => ({ low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) });

  function oneAxis(a, b) {
    if (a.type !== "Range1d" || b.type !== "Range1d") return;
    const ends = (range) => ({ low: Math.min(range.start, range.end), high: Math.max(range.start, range.end) });
    const { low, high } = wider(ends(a), ends(b));
    for (const range of [a, b]) {
      const [start, end] = range.start <= range.end ? [low, high] : [high, low];
      range.setv({ start, end, reset_start: start, reset_end: end }, { sync: false });
    }
  }

  const coloured = (figure) => figure.renderers.filter((layer) => layer.glyph)
    .map((layer) => ["fill_color", "line_color", "color_mapper"].map((name) => layer.glyph[name]).map((by) => (by && by.transform) || by)
      .find((by) => by && by.type === "LinearColorMapper"));

  function oneScale(a, b) {
    oneAxis(a.x_range, b.x_range);
    oneAxis(a.y_range, b.y_range);
    const [first, second] = [coloured(a), coloured(b)];
    first.forEach((mapper, n) => {
      const other = second[n];
      if (!mapper || !other || mapper.low == null || other.low == null) return;
      const both = wider(mapper, other);
      mapper.setv(both, { sync: false });
      other.setv(both, { sync: false });
    });
  }

  function stands(view) {
    const half = halfOf(view);
    if (!half) return;
    const title = (view.model.title && view.model.title.text) || "";
    if (!drawn.has(half.pair)) drawn.set(half.pair, {});
    const titles = drawn.get(half.pair), both = (titles[title] ||= { A: [], B: [] });
    if (both[half.name].includes(view.model)) return;
    both[half.name].push(view.model);
    const n = both[half.name].length - 1;
    if (both.A[n] && both.B[n]) oneScale(both.A[n], both.B[n]);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const figures = Bokeh.Models.get("Figure").prototype.default_view.prototype, finished = figures.after_render;
    figures.after_render = function () {
      finished.call(this);
      setTimeout(() => stands(this));  // once it is in the page
    };
  });
})();

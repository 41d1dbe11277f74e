"""Titles and legends that fit their picture: Bokeh lets them run over its edge, where they are cut.

The browser knows how wide a picture is, so it breaks the title into lines and the legend into rows,
whenever that changes. Nothing of it reaches Python.
"""

from __future__ import annotations

from typing import Any

# Lines are filled word by word. A legend gets as many columns as fit, each as wide as its widest
# entry; entries stand in it row by row. The picture grows by what lines and rows are added, so that
# what it shows keeps its height.
_FIT = r"""
const pen = document.createElement("canvas").getContext("2d");
const wide = (text) => pen.measureText(text).width;
const set = (model, values) => {
  const [changed] = Object.entries(values).filter(([name, value]) => model[name] != value);
  if (changed) model.setv(values, {sync: false});
};
const room = figure.inner_width;
if (!(room > 0)) return;
const LINE = 16;
let added = 0;

function lines(text, room) {
  const words = text.split(/\s+/), made = [words.shift()];
  for (const word of words) {
    const longer = made.at(-1) + " " + word;
    if (wide(longer) <= room) made[made.length - 1] = longer; else made.push(word);
  }
  return made;
}

function label(axis, room) {
  if (typeof axis.axis_label != "string" || !axis.axis_label) return 0;
  pen.font = `${axis.axis_label_text_font_size} ${axis.axis_label_text_font}`;
  const made = lines(axis.axis_label, room);
  set(axis, {axis_label: made.join("\n")});
  return made.length - 1;
}

function columns(sizes) {
  for (let n = sizes.length; n > 1; n--) {
    const columns = Array(n).fill(0);
    sizes.forEach((size, i) => { columns[i % n] = Math.max(columns[i % n], size); });
    if (columns.reduce((sum, size) => sum + size, 0) <= room) return n;
  }
  return 1;
}

const title = figure.title;
if (typeof title?.text == "string" && title.text) {
  pen.font = `${title.text_font_style} ${title.text_font_size} ${title.text_font}`;
  const made = lines(title.text, room);
  set(title, {text: made.join("\n")});
  added += LINE * (made.length - 1);
}
for (const axis of figure.below) added += LINE * label(axis, room);
for (const axis of figure.left) label(axis, figure.inner_height);
for (const legend of legends) {
  const labels = legend.items.map((item) => item.label?.value ?? item.label);
  if (labels.length < 2 || !labels.every((label) => typeof label == "string")) continue;
  pen.font = `${legend.label_text_font_size} ${legend.label_text_font}`;
  const around = legend.glyph_width + legend.label_standoff + ROW;
  const ncols = columns(labels.map((label) => wide(label) + around));
  const rows = Math.ceil(labels.length / ncols);
  set(legend, {ncols, spacing: rows > 1 ? CLOSE : ROW});
  added += (18 + CLOSE) * (rows - 1);
}
figure.wb_height ??= figure.height;
// A title takes its new text a moment later, and is to be there when all is laid out.
setTimeout(() => set(figure, {height: figure.wb_height + added}), 0);
"""
ROW = 14
"""Pixels between the entries of a legend in one row."""
_CLOSE = 6


def fit_words(figure: Any) -> None:
    """Have the browser fit title and legends of a Bokeh figure to its width."""
    from bokeh.models import CustomJS

    fit = CustomJS(
        args={"figure": figure, "legends": list(figure.legend)},
        code=_FIT.replace("ROW", str(ROW)).replace("CLOSE", str(_CLOSE)),
    )
    figure.js_on_change("inner_width", fit)
    figure.title.js_on_change("text", fit)

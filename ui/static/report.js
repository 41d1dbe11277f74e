// Draws the pictures of a report, one after another, and gives paper each as SVG.
(() => {
  const items = new Map(JSON.parse(document.getElementById("pictures").textContent).map((item) => [item.target_id, item]));
  const places = [...document.querySelectorAll(".wb-figure")];
  const drawn = new Map();
  const pause = () => new Promise((done) => setTimeout(done));

  // In Chromium the page counts as loading until every picture stands, so that what is printed at once (by a
  // program, or by a quick hand) is printed whole: a document that is being written holds it.
  const hold = document.createElement("iframe");
  hold.hidden = true;
  document.body.append(hold);
  hold.contentDocument.open();

  const draw = async () => {
    for (const place of places) {
      try {
        const views = await Bokeh.embed.embed_item(items.get(place.id));
        drawn.set(place, views.roots[0]);
      } catch (error) {
        place.textContent = `This picture cannot be drawn: ${error}`;
      }
      await pause(); // what the reader does meanwhile is answered
    }
    hold.contentDocument.close();
    hold.remove();
  };
  draw();

  // What the screen shows is pixels of the screen's size, and drawing anew for paper takes longer
  // than printing waits. The same drawing as SVG fits any width and is sharp.
  addEventListener("beforeprint", () => drawn.forEach((view, place) => {
    const paper = document.createElement("div");
    paper.className = "wb-paper";
    const svg = view.export("svg").canvas;
    paper.append(svg);
    svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
    svg.setAttribute("preserveAspectRatio", "xMinYMin"); // where it is not as high as it is wide
    svg.removeAttribute("height");
    place.after(paper);
  }));
  addEventListener("afterprint", () => document.querySelectorAll(".wb-paper").forEach((paper) => paper.remove()));
})();

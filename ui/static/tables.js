/* A heading sorts its table. Clicks are caught at the document, through shadow roots, since tables come later than this. */
document.addEventListener("click", (event) => {
  const heading = event.composedPath().find((node) => node.matches && node.matches(".wb-table th"));
  if (!heading) return;
  const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
  const down = heading.getAttribute("aria-sort") !== "descending";
  const key = (row) => { const text = row.cells[column].textContent, number = parseFloat(text.replace("−", "-")); return isNaN(number) ? text : number; };
  const rows = [...body.rows].sort((a, b) => { const x = key(a), y = key(b); return typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1; });
  if (down) rows.reverse();
  body.append(...rows);
  heading.parentNode.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
});

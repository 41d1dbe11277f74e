// Prepares a report for paper, which neither scrolls nor can be clicked.
(() => {
  // A table wider than the paper is cut into pieces, each with the first column. Columns are measured as the screen has
  // them; paper's letters are smaller, and what a cell says may take more lines there.
  const PAPER = 690, SMALLER = 1.18, COLUMN = 240;
  const cells = (table, columns) => {
    const piece = table.cloneNode(true);
    piece.classList.add("wb-piece");
    for (const row of piece.rows) [...row.cells].forEach((cell, n) => columns.includes(n) || cell.remove());
    return piece;
  };
  const pieces = (table) => {
    const widths = [...table.rows[0].cells].map((cell) => Math.min(cell.offsetWidth, COLUMN));
    const paper = table.matches(".wb-table") ? PAPER * SMALLER : PAPER, groups = [];
    let left = 0;
    widths.forEach((width, n) => {
      if (n === 0) return;
      if (width > left || !groups.length) {
        groups.push([0]);
        left = paper - widths[0];
      }
      groups.at(-1).push(n);
      left -= width;
    });
    return groups;
  };
  const cut = () => document.querySelectorAll(".wb-scroll > table, .wb-cells-box > table").forEach((table) => {
    const groups = table.offsetWidth ? pieces(table) : []; // a table that is folded up has no width
    if (groups.length < 2) return;
    table.parentNode.classList.add("wb-cut");
    table.parentNode.append(...groups.map((columns) => cells(table, columns)));
  });

  // Paper cannot be clicked: what is folded up is opened, of a table its first rows.
  const more = () =>
    document.querySelectorAll(":is(.wb-finding, section:not(#tables)) details:not([open])");

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...more()];
    opened.forEach((details) => (details.open = true));
    cut();
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll(".wb-piece").forEach((piece) => piece.remove());
    document.querySelectorAll(".wb-cut").forEach((box) => box.classList.remove("wb-cut"));
    opened.forEach((details) => (details.open = false));
  });
})();

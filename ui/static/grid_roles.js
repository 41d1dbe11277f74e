/* Tabulator calls a table a grid, and puts into it a box that scrolls and the buttons of its pages, which may not stand
   there: a screen reader then finds no rows. The box becomes the group of rows, and the foot a row of its own.
   It also marks the first of these buttons where a table begins with another page, as an address may ask. */
document.addEventListener("DOMContentLoaded", () => {
  const tables = Bokeh.Models.get("panel.models.tabulator.DataTabulator").prototype.default_view.prototype, built = tables.tableBuilt;
  tables.tableBuilt = function () {
    built.call(this);
    const roles = { "tableholder": "rowgroup", "table": "presentation", "footer": "row", "footer-contents": "gridcell" };
    for (const [part, role] of Object.entries(roles)) {
      const found = this.shadow_el.querySelector(`.tabulator-${part}`);
      if (found) found.setAttribute("role", role);
    }
    if (this.model.page > 1) setTimeout(() => this.setMaxPage());
  };
});

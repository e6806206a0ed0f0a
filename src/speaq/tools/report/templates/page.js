"use strict";

// Click a heading to sort: numbers in descending, text in ascending order; a second click reverses the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const rows = [...body.rows];
      const numeric = rows.some((row) => row.cells[column].dataset.value !== undefined);
      const former = head.getAttribute("aria-sort");
      const descending = former ? former === "ascending" : numeric;
      const sign = descending ? -1 : 1;
      const compare = numeric
        ? (a, b) => a.cells[column].dataset.value - b.cells[column].dataset.value
        : (a, b) => a.cells[column].textContent.localeCompare(b.cells[column].textContent);
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...rows.sort((a, b) => sign * compare(a, b)));
    });
  });
}

// Show only the rows whose name contains the text of the search field.
for (const part of document.querySelectorAll(".searchable")) {
  const output = part.querySelector("output");
  part.querySelector("input").addEventListener("input", (event) => {
    const query = event.target.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const row of part.querySelectorAll("tbody tr")) {
      row.hidden = !row.cells[0].textContent.toLocaleLowerCase().includes(query);
      shown += row.hidden ? 0 : 1;
    }
    output.textContent = `${shown} ${output.dataset.what}`;
  });
}

// Tooltips on hover or touch, from the titles of shapes and the data-tip of cells of heat maps.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
function point(event) {
  const shape = event.target.closest?.("[data-tip]");
  for (const head of document.querySelectorAll(".heatmap .current")) head.classList.remove("current");
  tip.hidden = !shape;
  if (!shape) return;
  tip.textContent = shape.dataset.tip;
  const box = shape.getBoundingClientRect();
  const middle = box.left + box.width / 2 - tip.offsetWidth / 2;
  const left = Math.min(Math.max(middle, 8), document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${(above > 0 ? above : box.bottom + 8) + window.scrollY}px`;
  const cell = shape.closest(".heatmap td");
  if (!cell) return;
  cell.parentNode.cells[0].classList.add("current");
  cell.closest("table").tHead.rows[0].cells[cell.cellIndex].classList.add("current");
}
document.addEventListener("pointerover", point);
document.addEventListener("pointerdown", point);

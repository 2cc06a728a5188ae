"use strict";
for (const button of document.querySelectorAll(".sorted th button")) button.addEventListener("click", () => {
  const head = button.parentElement, row = head.parentElement, body = row.closest("table").tBodies[0];
  const place = [...row.children].indexOf(head), number = head.classList.contains("right");
  const was = head.getAttribute("aria-sort");
  const way = was === "none" ? (number ? "descending" : "ascending") : was === "descending" ? "ascending" : "descending";
  for (const other of row.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", way);
  const value = one => one.children[place].dataset.value;
  const order = (a, b) => number ? value(a) - value(b) : value(a).localeCompare(value(b));
  body.append(...[...body.rows].sort((a, b) => way === "ascending" ? order(a, b) : order(b, a)));
});

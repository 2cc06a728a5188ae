"use strict";
const all = (query, of = document) => [...of.querySelectorAll(query)];
const filter = document.querySelector("#filter"), body = document.querySelector("tbody"), rows = all("tr", body);

function narrow(text) {
  const wanted = text.trim().toLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !`${row.children[0].textContent} ${row.children[1].textContent}`.toLowerCase().includes(wanted);
    shown += !row.hidden;
  }
  document.querySelector("#shown").textContent = `${shown} of ${rows.length} nodes`;
}
filter.addEventListener("input", () => narrow(filter.value));

for (const button of all("th button")) button.addEventListener("click", () => {
  const head = button.parentElement, place = [...head.parentElement.children].indexOf(head);
  const number = head.classList.contains("right"), was = head.getAttribute("aria-sort");
  const way = was === "none" ? (number ? "descending" : "ascending") : was === "descending" ? "ascending" : "descending";
  for (const other of all("th")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", way);
  const value = row => row.children[place].dataset.value;
  const order = (a, b) => number ? value(a) - value(b) : value(a).localeCompare(value(b));
  body.append(...rows.toSorted((a, b) => way === "ascending" ? order(a, b) : order(b, a)));
});

let zoom = 1;
const pictures = all(".canvas > div");
function draw() {
  for (const picture of pictures) {
    const svg = picture.querySelector("svg"), room = picture.parentElement.clientWidth - 2;
    svg.style.width = `${zoom * Math.min(svg.viewBox.baseVal.width * 4 / 3, Math.max(room, 560))}px`;
  }
}
for (const button of all("button[data-zoom]")) button.addEventListener("click", () => {
  zoom = button.dataset.zoom === "1" ? 1 : Math.min(8, Math.max(.25, zoom * button.dataset.zoom));
  draw();
});
for (const choice of all("input[name=depth]")) choice.addEventListener("change", () => {
  for (const picture of pictures) picture.hidden = picture.dataset.depth !== choice.value;
});
for (const link of all(".canvas .node a")) link.addEventListener("click", () => {
  filter.value = link.closest(".node").querySelector("title").textContent;
  narrow(filter.value);
});
for (const link of all(".code a")) link.addEventListener("click", () => narrow(filter.value = ""));
addEventListener("resize", draw);
draw();

"use strict";
// A click on a column's head sorts by it, a second one the other way round; what is missing stays last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const table = head.closest("table");
    const place = [...head.parentElement.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    const sign = down ? -1 : 1;
    const value = (row) => {
      const cell = row.children[place];
      if ("key" in cell.dataset) return Number(cell.dataset.key);
      return cell.textContent === "–" ? null : cell.textContent;
    };
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((one, two) => {
      const a = value(one);
      const b = value(two);
      if (a === null || b === null) return (a === null) - (b === null);
      if (typeof a === "number" && typeof b === "number") return sign * (a - b);
      return sign * String(a).localeCompare(String(b), "en", { numeric: true });
    });
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}

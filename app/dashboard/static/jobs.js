/* The list of jobs while some of them move: the rows are read again from the page itself. */

import { showLocalTimes } from "./notices.js";

const EVERY_MS = 3000;

async function refresh() {
  const table = document.getElementById("jobs");
  if (table?.dataset.live !== "yes") return;
  if (!document.hidden && !table.contains(document.activeElement)) {
    const response = await fetch(location.href).catch(() => null);
    if (response?.ok && !response.redirected) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const newer = page.getElementById("jobs");
      if (newer) {
        showLocalTimes(newer);
        table.replaceWith(newer);
      }
    }
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);

/* What every page does: times in the reader's zone, the place where the reader is in view, signing out. */

import { errorOf, headersFor } from "./api.js";
import { notifyError, showLocalTimes } from "./notices.js";

showLocalTimes(document);
document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

document.querySelector("[data-sign-out]")?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    const answer = await fetch("/dashboard/sign-out", { method: "POST", headers: headersFor(), redirect: "manual" });
    if (answer.type !== "opaqueredirect") throw await errorOf(answer);
    location.assign("/dashboard/sign-in");
  } catch (error) {
    event.target.disabled = false;
    notifyError(error);
  }
});

/* What every page does: times in the reader's zone, signing out. */

import { call } from "./api.js";
import { notifyError, showLocalTimes } from "./notices.js";

showLocalTimes(document);

document.querySelector("[data-sign-out]")?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    await call("POST", "/dashboard/sign-out");
    location.assign("/dashboard/sign-in");
  } catch (error) {
    event.target.disabled = false;
    notifyError(error);
  }
});

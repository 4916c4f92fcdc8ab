/* Pausing, resuming and ending a job, each after the reader has said so. */

import { post } from "./api.js";
import { ask, notify, notifyError } from "./notices.js";

const QUESTIONS = {
  pause: ["Pause this job?", "What it has done is kept. Calls that are under way are finished first.", "Pause"],
  resume: ["Go on with this job?", "No finished call is made again.", "Resume"],
  cancel: ["End this job?", "It cannot be resumed. What it has done is kept.", "End it"],
};
const OFFERED = { pause: ["queued", "running"], resume: ["paused"], cancel: ["queued", "running", "paused"] };

export function offerActions(path, onChanged) {
  for (const button of document.querySelectorAll("#actions [data-action]")) {
    button.addEventListener("click", async () => {
      if (!(await ask(...QUESTIONS[button.dataset.action]))) return;
      button.disabled = true;
      try {
        onChanged(await post(`${path}/${button.dataset.action}`));
        notify("The service has been told.");
      } catch (error) {
        notifyError(error);
      } finally {
        button.disabled = false;
      }
    });
  }
}

export function showOffered(status) {
  for (const button of document.querySelectorAll("#actions [data-action]")) {
    button.hidden = !OFFERED[button.dataset.action].includes(status);
  }
}

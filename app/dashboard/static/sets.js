/* Query sets: uploading a file. */

import { post } from "./api.js";
import { onSubmit } from "./forms.js";

onSubmit("upload", async (form, fields) => {
  await post("/v1/datasets", fields);
  location.reload();
});

/* What forms of pages do: problems are shown in them, and nothing is sent twice. */

export function onSubmit(id, act) {
  const form = document.getElementById(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = form.querySelector(".problem");
    const button = form.querySelector("button.primary");
    problem.textContent = "";
    button.disabled = true;
    try {
      await act(form, new FormData(form));
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

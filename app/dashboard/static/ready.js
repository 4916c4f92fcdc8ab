/* The last module of a page. Whatever only modules can do is there from now on, and not before: nobody's press is lost. */

for (const button of document.querySelectorAll("[data-scripted]")) button.disabled = false;

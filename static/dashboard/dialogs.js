/* The one dialog: a link with data-dialog gets its page's form into it. Closing it leaves nothing of the form behind. */

const dialog = document.getElementById("dialog"); // pages without a frame have none

function swapped() {
  if (dialog.firstElementChild && !dialog.open) dialog.showModal();
  (dialog.querySelector("[data-focus]") || dialog.querySelector("[autofocus]"))?.focus();
}

export const close = () => dialog?.close();
export const isOpen = () => Boolean(dialog?.open);

dialog?.addEventListener("close", () => dialog.replaceChildren());
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === dialog) swapped();
  if (event.detail.target.id === "results") document.querySelector("#results h2")?.focus();
});
document.addEventListener("dash:done", close);

/* A session that ends takes nothing that was typed with it. A page on which nothing was typed is loaded anew, which leads
to the sign-in page. Else a banner says it; a form that is sent then goes as a plain one, and the site asks who it is and
keeps what was sent. Whoever signs in in another window finds the page as it was, with new tokens for its forms. */

const banner = document.getElementById("signed-out"); // pages without a frame have none
const TOKEN = "csrfmiddlewaretoken";

function isChanged(control) {
  if (control.type === "hidden" || control.disabled) return false;
  if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
  if (control.type === "file") return control.files.length > 0;
  if (control.matches("select")) {
    const set = [...control.options].some((option) => option.defaultSelected);
    return set ? [...control.options].some((one) => one.selected !== one.defaultSelected) : control.selectedIndex > 0;
  }
  return control.matches("input, textarea") && control.value !== control.defaultValue;
}

const isTyped = (form) =>
  form.method === "post" && (form.hasAttribute("data-typed") || [...form.elements].some(isChanged));

export const isSignedOut = () => Boolean(banner && !banner.hidden);

export function signedOut() {
  if (banner && [...document.forms].some(isTyped)) banner.hidden = false;
  else location.reload();
}

// What htmx asked was answered 401.
export function askToSignIn({ elt, requestConfig }) {
  const form = elt.closest("form");
  if (requestConfig.verb !== "post" || !form) return signedOut();
  const { name, value } = requestConfig.triggeringEvent?.submitter || {};
  if (name) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  HTMLFormElement.prototype.submit.call(form);
}

async function comeBack() {
  if (document.hidden || !isSignedOut()) return;
  const answer = await fetch(banner.dataset.tokens, { redirect: "manual" }); // this page may be the answer to a form
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector(`[name=${TOKEN}]`)?.value;
  if (!token) return;
  document.querySelectorAll(`[name=${TOKEN}]`).forEach((input) => (input.value = token));
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
  banner.hidden = true;
  document.dispatchEvent(new Event("dash:signed-in"));
}

for (const [name, target] of [["visibilitychange", document], ["focus", window]]) {
  target.addEventListener(name, () => comeBack().catch(() => {}));
}

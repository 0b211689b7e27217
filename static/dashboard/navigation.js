/* On a phone the navigation is a strip that scrolls: it begins where the page is that is open. */

const strip = document.querySelector(".nav");
const here = strip?.querySelector("[aria-current]");

if (here) strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;

// What is wider than the page scrolls inside itself; then the keyboard has to be able to reach it.
(() => {
  "use strict";
  const WIDE = ".bd-article :is(table, div.math, mjx-container[display], pre)";
  const mark = () => {
    for (const one of document.querySelectorAll(WIDE)) {
      if (one.scrollWidth > one.clientWidth + 1) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector(".bd-article");
    if (article) new ResizeObserver(mark).observe(article); // also when mathematics is typeset
  });
})();

// A term of the glossary says what it means where it is: under a mouse, and for the keyboard.
(() => {
  "use strict";
  const box = document.createElement("div");
  box.id = "nnc-says";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  let link = null;

  function show(one) {
    hide();
    link = one;
    box.textContent = one.dataset.says;
    one.setAttribute("aria-describedby", box.id);
    box.hidden = false;
    const at = one.getClientRects()[0];
    const most = document.documentElement.clientWidth - box.offsetWidth - 8;
    box.style.left = `${scrollX + Math.max(8, Math.min(at.left, most))}px`;
    box.style.top = `${scrollY + at.bottom}px`;
  }

  function hide() {
    link?.removeAttribute("aria-describedby");
    link = null;
    box.hidden = true;
  }

  const termAt = (event) => event.target.closest?.("a[data-says]");
  document.addEventListener("DOMContentLoaded", () => document.body.append(box));
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch" || box.contains(event.target)) return;
    const one = termAt(event);
    if (one && one !== link) show(one);
    else if (!one && link && link !== document.activeElement) hide();
  });
  document.addEventListener("focusin", (event) => {
    const one = termAt(event);
    if (one?.matches(":focus-visible")) show(one);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
})();

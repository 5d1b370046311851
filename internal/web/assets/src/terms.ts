/** Ticks "I have read to the end" once the end of the text was seen. The box stays a box: it can be ticked by hand. */
export function terms(): void {
  for (const box of document.querySelectorAll<HTMLElement>("[data-scroll-end]")) {
    const tick = document.getElementById(box.dataset.scrollEnd ?? "");
    if (!(tick instanceof HTMLInputElement)) continue;
    const look = (): void => {
      if (box.scrollTop + box.clientHeight >= box.scrollHeight - 8) {
        tick.checked = true;
        box.removeEventListener("scroll", look);
      }
    };
    box.addEventListener("scroll", look, { passive: true });
  }
}

/** The text of a rest of time, from the templates the server wrote in the reader's language. */
function span(seconds: number, box: HTMLElement): string {
  const m = Math.floor(seconds / 60);
  const template = m > 0 ? box.dataset.minutes : box.dataset.seconds;
  return (template ?? "{s} s").replace("{m}", String(m)).replace("{s}", String(seconds % 60));
}

/** Runs until a time of the server's clock: the offset of this device's clock is taken from the page's own age. */
function until(ms: number, tick: (left: number) => void): void {
  const served = Number(document.documentElement.dataset.now) || Date.now();
  const start = performance.now();
  const step = (): void => {
    const left = Math.max(0, Math.ceil((ms - served - (performance.now() - start)) / 1000));
    tick(left);
    if (left > 0) setTimeout(step, 1000);
  };
  step();
}

/** Countdowns with a ring, and buttons that wait. Screen readers hear the start and the end, not each second. */
export function countdowns(): void {
  for (const box of document.querySelectorAll<HTMLElement>("[data-until]")) {
    const text = box.querySelector<HTMLElement>("[data-text]");
    const ring = box.querySelector(".ring :last-child");
    const total = Number(box.dataset.total) || 1;
    if (!text) continue;
    until(Number(box.dataset.until), (left) => {
      text.textContent = left > 0 ? (box.dataset.left ?? "{time}").replace("{time}", span(left, box)) : (box.dataset.over ?? "");
      if (left === 0) text.setAttribute("role", "status");
      ring?.setAttribute("stroke-dasharray", `${Math.round((left * 100) / total)} 100`);
    });
  }
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-wait-until]")) {
    const ready = button.textContent;
    until(Number(button.dataset.waitUntil), (left) => {
      button.disabled = left > 0;
      button.textContent = left > 0 ? (button.dataset.wait ?? "").replace("{s}", String(left)) : ready;
    });
  }
}

/** The hint comes from this many milliseconds on: below, the network explains the difference. */
const hint = 2000;

/** Compares this device's clock with the server's, by the quickest of five questions. */
async function offset(url: string): Promise<number> {
  let best = Infinity;
  let found = 0;
  for (let i = 0; i < 5; i++) {
    const sent = Date.now();
    const from = performance.now();
    const answer = await fetch(url, { cache: "no-store" });
    const took = performance.now() - from;
    const { now } = (await answer.json()) as { now: number };
    if (took < best) {
      best = took;
      found = sent + took / 2 - now;
    }
  }
  return found;
}

/** The clock page: [data-server-time=URL] holds the answers ([data-right], [data-fast], [data-slow]) and shows one. */
export function clock(): void {
  const box = document.querySelector<HTMLElement>("[data-server-time]");
  const url = box?.dataset.serverTime;
  if (!box || !url) return;
  void offset(url).then((ms) => {
    const name = Math.abs(ms) < hint ? "right" : ms > 0 ? "fast" : "slow";
    const part = box.querySelector<HTMLElement>(`[data-${name}]`);
    if (!part) return;
    const seconds = Math.round(Math.abs(ms) / 1000);
    const words = box.dataset[name + (seconds < 120 ? "S" : "M")] ?? "";
    const off = part.querySelector("[data-off]");
    if (off) off.textContent = words.replace("{s}", String(seconds)).replace("{m}", String(Math.round(seconds / 60)));
    const time = (t: number): string => new Date(t).toLocaleTimeString(document.documentElement.lang, { hour12: false });
    const show = (): void => {
      for (const n of part.querySelectorAll("[data-ours]")) n.textContent = time(Date.now() - ms);
      for (const n of part.querySelectorAll("[data-yours]")) n.textContent = time(Date.now());
    };
    show();
    setInterval(show, 1000);
    for (const other of box.querySelectorAll<HTMLElement>("[data-right],[data-fast],[data-slow],[data-unknown]")) other.hidden = other !== part;
  }, () => undefined);
}

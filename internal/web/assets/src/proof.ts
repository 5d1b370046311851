const lines = 256;

/** The leading zero bits of a hash. */
function zeros(hash: ArrayBuffer): number {
  let n = 0;
  for (const b of new Uint8Array(hash)) {
    if (b) return n + Math.clz32(b) - 24;
    n += 8;
  }
  return n;
}

/** Finds a number whose SHA-256, after the challenge and a point, begins with so many zero bits. */
async function work(challenge: string, bits: number, wanted: () => boolean): Promise<string> {
  const text = new TextEncoder();
  for (let from = 0; wanted(); from += lines) {
    const hashes = await Promise.all(Array.from({ length: lines }, (_, i) => crypto.subtle.digest("SHA-256", text.encode(`${challenge}.${from + i}`))));
    const i = hashes.findIndex((h) => zeros(h) >= bits);
    if (i >= 0) return String(from + i);
  }
  return "";
}

/**
 * Forms that carry a challenge, form[data-work=CHALLENGE data-bits]: the proof is looked for as soon as somebody begins to
 * fill in the form. Who is quicker than the work sees a line that says so ([data-working]), and the form is sent when it is
 * done, since they asked for it.
 */
export function proving(): void {
  if (!globalThis.crypto?.subtle) return;
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-work]")) {
    const answer = form.querySelector<HTMLInputElement>("input[name=answer]");
    const line = form.querySelector<HTMLElement>("[data-working]");
    if (!answer) continue;
    let begun: Promise<void> | undefined;
    const begin = (): Promise<void> =>
      (begun ??= work(form.dataset.work ?? "", Number(form.dataset.bits), () => form.isConnected).then((found) => {
        answer.value = found;
      }));
    form.addEventListener("focusin", () => void begin(), { once: true });
    form.addEventListener("submit", (event) => {
      if (answer.value !== "") return;
      event.preventDefault();
      if (line) line.textContent = line.dataset.working ?? "";
      void begin().then(() => form.requestSubmit(), () => form.submit());
    });
  }
}

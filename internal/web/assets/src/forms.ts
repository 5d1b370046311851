/** Buttons that show and hide a password. */
export function revealing(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-reveal]")) {
    const input = document.getElementById(button.dataset.reveal ?? "");
    if (!(input instanceof HTMLInputElement)) continue;
    button.hidden = false;
    const show = (on: boolean): void => {
      input.type = on ? "text" : "password";
      button.setAttribute("aria-pressed", String(on));
      button.textContent = (on ? button.dataset.hide : button.dataset.show) ?? "";
    };
    button.addEventListener("click", () => show(input.type === "password"));
    // A password is never left readable: not for the password manager that stores it, not in the history of forms.
    input.form?.addEventListener("submit", () => show(false));
  }
}

/** Buttons that copy the text of an element; spaces between groups are not copied. */
export function copying(): void {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    const source = document.getElementById(button.dataset.copy ?? "");
    const label = button.querySelector("span");
    if (!source || !label) continue;
    button.hidden = false;
    const before = label.textContent;
    button.addEventListener("click", () => {
      const text = source.dataset.value ?? (source.textContent ?? "").replace(/\s+/g, "");
      navigator.clipboard.writeText(text).then(() => {
        label.textContent = button.dataset.done ?? "";
        setTimeout(() => (label.textContent = before), 4000);
      }, () => getSelection()?.selectAllChildren(source));
    });
  }
}

/** Buttons that print. */
export function printing(): void {
  for (const button of document.querySelectorAll<HTMLElement>("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }
}

/** Rates a new password while it is typed. The server answers {"score": 0…4, "words": "…"}; the password goes nowhere else. */
export function strength(): void {
  for (const input of document.querySelectorAll<HTMLInputElement>("input[data-strength]")) {
    const line = document.querySelector<HTMLElement>(`[data-strength-of="${input.id}"]`);
    const meter = line?.querySelector("meter");
    const text = line?.querySelector("span");
    const url = input.dataset.strength;
    if (!line || !meter || !text || !url) continue;
    const words = (line.dataset.words ?? "").split("|");
    let timer = 0;
    let turn = 0;
    input.addEventListener("input", () => {
      clearTimeout(timer);
      if (input.value === "") {
        line.hidden = true;
        return;
      }
      timer = window.setTimeout(() => void rate(++turn), 350);
    });
    const rate = async (mine: number): Promise<void> => {
      const body = new URLSearchParams({ password: input.value });
      const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => null);
      if (!answer?.ok || mine !== turn) return;
      const rated = (await answer.json()) as { score: number; words?: string };
      meter.value = rated.score;
      text.textContent = rated.words || (words[rated.score] ?? "");
      line.hidden = false;
    };
  }
}

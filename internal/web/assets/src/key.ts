// The script of the page behind the link to a certificate, beside that of all pages.
import type { Bytes } from "./der";
import { keyFile, newKey, request } from "./keyfile";

interface Signed {
  certificate: string;
  issuers: string[] | null;
  name: string;
  label: string;
}

interface Refused {
  code: string;
  words: string;
}

const base64 = (b: Bytes): string => btoa(String.fromCharCode(...b));
const bytes = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * The form in which the browser makes a key, asks for its certificate and hands both over as a file: form[data-key]. The key is in
 * this page alone. An answer that was lost is asked for again with the same key; what was refused gets a new one.
 */
function making(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-key]");
  if (!form || !globalThis.crypto?.subtle) return;
  const input = form.querySelector<HTMLInputElement>("input[name=password]");
  const button = form.querySelector("button");
  const status = form.querySelector<HTMLElement>("[role=status]");
  const problem = form.querySelector<HTMLElement>(".error");
  const done = document.getElementById("here-done");
  const other = document.querySelector("details");
  const save = done?.querySelector("a");
  if (!input || !button || !status || !problem || !done || !save) return;
  form.hidden = false;
  if (other) other.open = false;

  let key: CryptoKeyPair | undefined;
  const say = (words = ""): void => void (status.textContent = words);
  const fail = (words = "", ofPassword = false): void => {
    say();
    problem.hidden = words === "";
    const line = problem.querySelector("span");
    if (line) line.textContent = words;
    if (ofPassword) {
      input.setAttribute("aria-invalid", "true");
      input.focus();
    } else input.removeAttribute("aria-invalid");
  };
  const ask = (values: Record<string, string>): Promise<Response> =>
    fetch(form.action, { method: "POST", body: new URLSearchParams(values), headers: { Accept: "application/json" }, keepalive: true });

  const make = async (): Promise<void> => {
    fail();
    say(form.dataset.making);
    const password = input.value.trim();
    key ??= await newKey();
    const asked = base64(await request(key));
    say(form.dataset.asking);
    const answer = await ask({ password, request: asked }).catch(() => null);
    if (!answer || answer.status >= 500) {
      fail(form.dataset.away); // the certificate may be there: the same key gets it
      return;
    }
    if (!answer.ok) {
      key = undefined;
      const why = (await answer.json().catch(() => null)) as Refused | null;
      fail(why?.words ?? form.dataset.failed, why?.code === "file-password");
      return;
    }
    const signed = (await answer.json()) as Signed;
    say(form.dataset.locking);
    const file = await keyFile(key.privateKey, bytes(signed.certificate), (signed.issuers ?? []).map(bytes), password, signed.label);
    save.href = URL.createObjectURL(new Blob([file], { type: "application/x-pkcs12" }));
    save.download = signed.name;
    for (let tries = 0; tries < 3; tries++) {
      if ((await ask({ arrived: "yes", request: asked }).catch(() => null))?.ok) break;
    }
    save.click();
    input.value = "";
    key = undefined;
    form.hidden = true;
    if (other) other.hidden = true;
    done.hidden = false;
    done.focus();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    make()
      .catch(() => fail(form.dataset.failed))
      .finally(() => (button.disabled = false));
  });
}

making();

/** Fetches this page again and replaces the parts that carry data-live, by their ids. */
async function update(): Promise<void> {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) {
    location.reload();
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll<HTMLElement>("[data-live][id]")) {
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.innerHTML) part.replaceChildren(...next.childNodes);
  }
}

/** Moves a waiting page on. Where the stream cannot be had, the page reloads itself every few seconds, as without script. */
export function live(): void {
  const url = document.body.dataset.events;
  if (!url) return;
  let failures = 0;
  const stream = new EventSource(url);
  const on = (name: string, act: (data: string) => void): void =>
    stream.addEventListener(name, (e) => {
      failures = 0;
      act((e as MessageEvent<string>).data);
    });
  on("go", (path) => {
    stream.close();
    if (path.startsWith("/") && !path.startsWith("//")) location.assign(path);
    else location.reload();
  });
  on("reload", () => {
    stream.close();
    location.reload();
  });
  on("update", () => void update());
  stream.onerror = () => {
    if (++failures < 3 && stream.readyState !== EventSource.CLOSED) return;
    stream.close();
    setTimeout(() => location.reload(), 5000);
  };
}

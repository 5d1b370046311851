"""How a scenario speaks with the test that plays it: one line of JSON each way."""
import json
import sys

name, told = sys.argv[-2:]
with open(told, encoding="utf-8") as f:
    site = json.load(f)


def ask(**question):
    print(json.dumps(question), flush=True)
    answer = json.loads(sys.stdin.readline())
    if answer.get("error"):
        raise RuntimeError(answer["error"])
    return answer["url"]


def open_browser(url, to=None):
    """Sends the person's browser to an address and returns the address that it leaves to."""
    return ask(ask="open", url=url, to=to or site["redirect"])


def refused(what, error, words, call):
    """Wants a call to fail with an error of a kind whose text has these words."""
    try:
        call()
    except error as e:
        assert words in str(e), f"{what}: {e}"
        return
    raise AssertionError(f"{what}: not refused")


def play(scenarios):
    print(json.dumps({"done": scenarios[name]() or {}}), flush=True)

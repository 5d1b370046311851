package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// question is a line that a script writes when it needs the person or the test.
type question struct {
	Ask  string          // open, device, forget, sleep; empty: the script has come to its end
	URL  string          // open, device: where the browser goes
	To   string          // open: where it leaves to, which is the answer; device: which button is pressed, allow or deny
	Code string          // device: what the person types
	For  int             // sleep: seconds
	Done json.RawMessage // what the script saw
}

// play runs a script of a client for one scenario: it asks for the person's browser by lines of JSON, and ends with what it saw.
// What a script expects, it checks by itself; when that does not hold, it fails.
func (s *site) play(t *testing.T, g *guest, command ...string) map[string]any {
	t.Helper()
	cmd := exec.Command(command[0], append(command[1:], s.told())...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.ca, "REQUESTS_CA_BUNDLE="+s.ca)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said := new(output)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	var done json.RawMessage
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fmt.Fprintln(said, lines.Text())
			continue
		}
		if q.Ask == "" {
			done = q.Done
			continue
		}
		answer, err := g.answer(q)
		reply := map[string]string{"url": answer}
		if err != nil {
			reply["error"] = err.Error()
		}
		if err := json.NewEncoder(in).Encode(reply); err != nil {
			t.Errorf("%s: %v", q.Ask, err)
			break
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil || done == nil {
		t.Fatalf("%s: %v, with %q\n%s", strings.Join(command, " "), err, done, said)
	}
	var seen map[string]any
	if err := json.Unmarshal(done, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// types hands in the code that a device shows, and answers the page that asks about it.
func (g *guest) types(address, code, button string) error {
	page, err := g.Get(address)
	if err != nil {
		return err
	}
	form := page.Form()
	if form == nil || !form.Fill("user_code", code) {
		return fmt.Errorf("nowhere to type the code: %s", page.Main())
	}
	if page, err = g.Submit(form); err != nil {
		return err
	}
	if form = page.Form(); form == nil || form.Values.Get("answer") != "allow" || !strings.Contains(page.Main(), code) {
		return fmt.Errorf("nobody asks about the device: %s", page.Main())
	}
	form.Values.Set("answer", button)
	if page, err = g.Submit(form); err == nil && page.Form() != nil {
		err = fmt.Errorf("asked again: %s", page.Main())
	}
	return err
}

func (g *guest) answer(q question) (string, error) {
	switch q.Ask {
	case "open":
		return g.leaves(q.URL, q.To)
	case "device":
		return "", g.types(q.URL, q.Code, q.To)
	case "forget":
		g.forget()
		return "", nil
	case "sleep":
		time.Sleep(time.Duration(q.For) * time.Second)
		return "", nil
	}
	return "", fmt.Errorf("nobody knows how to %q", q.Ask)
}

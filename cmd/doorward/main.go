// Command doorward is the whole product: the server, the demo, and what an operator does by hand.
//
// Exit codes: 0 done, 1 failed, 2 wrong use. Errors go to stderr, one line each, and say what to do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // zones of realms and people, wherever the program runs

	"github.com/alecthomas/kong"

	"doorward/internal/fault"
	"doorward/internal/tomlfile"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, world{
		args: os.Args[1:], environ: os.Environ(), out: os.Stdout, errs: os.Stderr,
		clock: func() time.Time { return time.Now().UTC() },
	}))
}

// world is what a command sees of the world.
type world struct {
	args, environ []string
	out, errs     io.Writer
	clock         func() time.Time
}

// Exit codes.
const (
	done   = 0
	failed = 1
	misuse = 2
)

// commands are all there are. Config and JSON belong to every one.
type commands struct {
	Config string `short:"c" help:"Configuration of this node." default:"doorward.toml" env:"DOORWARD_CONFIG" type:"path" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Write what a script would read."`

	Serve  serveCommand   `cmd:"" help:"Serve the realms in the database."`
	Demo   demoCommand    `cmd:"" help:"The whole product with embedded parts only, to try it out on this machine."`
	Init   initCommand    `cmd:"" help:"Write a first configuration and a key ring, overwriting nothing."`
	Apply  applyCommand   `cmd:"" help:"Load a realm file into the database: all or nothing."`
	User   userCommands   `cmd:"" help:"People, from the command line."`
	Client clientCommands `cmd:"" help:"Relying parties: applications behind the door."`
	Policy policyCommand  `cmd:"" help:"What a policy leads to."`
	CA     caCommands     `cmd:"" name:"ca" help:"Certificate authorities of devices."`
	Audit  auditCommand   `cmd:"" help:"The trail that proves itself."`
	Doctor doctorCommand  `cmd:"" help:"Look whether everything this node needs is there."`

	Version versionCommand `cmd:"" help:"Print the version."`
}

// call is one call of the program: what commands work with.
type call struct {
	world
	*commands
	ctx context.Context
}

// say writes a line for people; print writes value where --json was given, else nothing.
func (c *call) say(format string, args ...any) {
	if !c.JSON {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

func (c *call) print(value any) error {
	if !c.JSON {
		return nil
	}
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// run is the program; it returns the exit code. It ends in order when ctx does.
func run(ctx context.Context, w world) (code int) {
	var cmds commands
	exited := -1
	parser, err := kong.New(&cmds,
		kong.Name("doorward"), kong.Description("A door for people: sign-in with the proofs a policy asks for."),
		kong.Writers(w.out, w.errs), kong.Exit(func(code int) { exited = code }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Resolvers(environment(w.environ)),
	)
	if err != nil {
		fmt.Fprintln(w.errs, "doorward:", err)
		return failed
	}
	k, err := parser.Parse(w.args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(w.errs, "doorward: %v; see doorward --help\n", err)
		return misuse
	}
	c := &call{world: w, commands: &cmds, ctx: ctx}
	return c.report(k.Run(c))
}

// report writes what went wrong, one line each, and picks the exit code.
func (c *call) report(err error) int {
	if err == nil {
		return done
	}
	var problems tomlfile.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintln(c.errs, p.Error())
		}
		return failed
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(c.errs, "doorward: "+usage.Error())
		return misuse
	}
	if errors.Is(err, errSaid) {
		return failed
	}
	if c.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; nothing was left half-done")
	}
	fmt.Fprintln(c.errs, "doorward: "+oneLine(words(err)))
	return failed
}

// usageError is a mistake in how the program was called.
type usageError string

func (e usageError) Error() string { return string(e) }

// errSaid ends a command that has told already what is wrong.
var errSaid = errors.New("said already")

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// words puts a fault into the words of somebody at a terminal.
func words(err error) string {
	f := fault.As(err)
	if f == nil {
		return err.Error()
	}
	// What was wrapped around the fault says where it happened.
	return strings.TrimSuffix(strings.TrimSuffix(err.Error(), f.Error()), err.Error()) + said(f)
}

func said(f *fault.Error) string {
	arg := func(name string) string { return fmt.Sprint(f.Args[name]) }
	switch f.Code {
	case "not-found":
		return "there is no such thing; check the names"
	case "exists", "address-taken", "person-exists":
		return "that address belongs to somebody in this realm already"
	case "address-invalid":
		return "that is no e-mail address Doorward can use"
	case "role-invalid":
		return "that role does not fit the organization: staff stand in the operator's own, members and administrators in a customer's"
	case "authority-unfit":
		return "the certificate does not fit: " + arg("why")
	case "authority-none-published":
		return "no authority is published to follow: doorward ca request, sign and import come before"
	case "authority-none":
		return "the realm has no authority that signs: docs/pki.md says how to begin"
	case "authority-key":
		return "the key of " + arg("name") + " cannot be reached: keys.pkcs11_module, keys.pkcs11_pin_file, and a build with PKCS #11 (docs/pki.md)"
	case "busy":
		return "this machine is too busy to hash passwords; try again"
	case "last-administrator":
		return "this is the only administrator of their organization; make another one first"
	case "stale":
		return "somebody changed it at the same moment; do it again"
	case "already-active":
		return "this person was active already: an invitation would let a mailbox in; use a reset"
	case "ring-missing":
		return "there is no key ring at " + arg("path") + "; `doorward init` makes one, a database needs the one it was made with"
	case "ring-open-to-others":
		return "others may read the key ring " + arg("path") + "; chmod 600 it, and make a new one if others were there"
	case "ring-broken":
		return "the key ring cannot be read: " + arg("why")
	case "wrong-ring":
		return "the key ring is not the one this database was made with"
	case "store-address":
		return "database.address must be sqlite:PATH or postgres://…"
	case "smtp-config":
		return "mail.smtp." + arg("key") + ": " + arg("why")
	}
	if f.Err != nil {
		return f.Err.Error()
	}
	return strings.ReplaceAll(f.Code, "-", " ") + " (" + f.Kind.String() + ")"
}

// environment resolves the variables that kong reads from the caller's environment instead of the process's own.
func environment(environ []string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if flag.Tag == nil {
			return nil, nil
		}
		for _, name := range flag.Tag.Envs {
			for _, pair := range environ {
				if value, ok := strings.CutPrefix(pair, name+"="); ok && value != "" {
					return value, nil
				}
			}
		}
		return nil, nil
	})
}

type versionCommand struct{}

// Run implements the command.
func (versionCommand) Run(c *call) error {
	version := "development"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	c.say("doorward %s", version)
	return c.print(map[string]string{"version": version})
}

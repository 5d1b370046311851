package web

import (
	"fmt"
	"html/template"
	"reflect"
	"text/template/parse"
)

// Check type-checks a page: each field, method and number of arguments in each branch, whether a sample reaches it or
// not. It knows what templates of pages use and refuses what it cannot follow.
func (p *Page[T]) Check() []error {
	t, err := parsePage(p.set.files, p.name, p.layout) // anew: executing a template rewrites it
	if err != nil {
		return []error{err}
	}
	c := &checker{set: t, seen: map[string]bool{}}
	c.template(t.Name(), reflect.TypeFor[*T](), nil)
	for i, err := range c.found {
		c.found[i] = fmt.Errorf("%s/%s: %w", p.set.Name, p.name, err)
	}
	return c.found
}

type checker struct {
	set   *template.Template
	seen  map[string]bool // template and type
	found []error
}

// scope holds the types of dot and of the variables; nil is a type nobody can know, such as that of an untyped nil.
type scope struct {
	dot  reflect.Type
	vars map[string]reflect.Type
	tree *parse.Tree
}

func (s scope) child() scope {
	vars := make(map[string]reflect.Type, len(s.vars))
	for k, v := range s.vars {
		vars[k] = v
	}
	return scope{s.dot, vars, s.tree}
}

func (c *checker) template(name string, dot reflect.Type, caller *parse.TemplateNode) {
	key := fmt.Sprint(name, " ", dot)
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	t := c.set.Lookup(name)
	if t == nil || t.Tree == nil {
		c.found = append(c.found, fmt.Errorf("template %q is not defined (%v)", name, caller))
		return
	}
	c.list(t.Tree.Root, scope{dot, map[string]reflect.Type{"$": dot}, t.Tree})
}

func (c *checker) fault(s scope, n parse.Node, format string, args ...any) reflect.Type {
	where, what := s.tree.ErrorContext(n)
	c.found = append(c.found, fmt.Errorf("%s: %s: %s", where, what, fmt.Sprintf(format, args...)))
	return nil
}

func (c *checker) list(l *parse.ListNode, s scope) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe, s)
		case *parse.IfNode:
			inner := s.child()
			c.pipe(n.Pipe, inner)
			c.list(n.List, inner)
			c.list(n.ElseList, inner.child())
		case *parse.WithNode:
			inner := s.child()
			t := c.pipe(n.Pipe, inner)
			other := inner.child()
			inner.dot = t
			c.list(n.List, inner)
			c.list(n.ElseList, other)
		case *parse.RangeNode:
			c.ranged(n, s)
		case *parse.TemplateNode:
			var t reflect.Type
			if n.Pipe != nil {
				t = c.pipe(n.Pipe, s)
			}
			c.template(n.Name, t, n)
		}
	}
}

func (c *checker) ranged(n *parse.RangeNode, s scope) {
	inner := s.child()
	t := c.commands(n.Pipe, inner)
	var key, elem reflect.Type
	if t != nil {
		switch t.Kind() {
		case reflect.Slice, reflect.Array:
			key, elem = reflect.TypeFor[int](), t.Elem()
		case reflect.Map:
			key, elem = t.Key(), t.Elem()
		case reflect.Int:
			key, elem = t, t
		default:
			c.fault(s, n, "cannot range over %v", t)
		}
	}
	switch len(n.Pipe.Decl) {
	case 1:
		inner.vars[n.Pipe.Decl[0].Ident[0]] = elem
	case 2:
		inner.vars[n.Pipe.Decl[0].Ident[0]], inner.vars[n.Pipe.Decl[1].Ident[0]] = key, elem
	}
	inner.dot = elem
	c.list(n.List, inner)
	c.list(n.ElseList, s.child())
}

func (c *checker) pipe(p *parse.PipeNode, s scope) reflect.Type {
	t := c.commands(p, s)
	for _, d := range p.Decl {
		s.vars[d.Ident[0]] = t
	}
	return t
}

func (c *checker) commands(p *parse.PipeNode, s scope) reflect.Type {
	var t reflect.Type
	for i, cmd := range p.Cmds {
		extra := 0
		if i > 0 {
			extra = 1
		}
		t = c.command(cmd, s, extra)
	}
	return t
}

// command is the type of one command; extra is 1 when the value of the one before comes as last argument.
func (c *checker) command(cmd *parse.CommandNode, s scope, extra int) reflect.Type {
	args := len(cmd.Args) - 1 + extra
	for _, a := range cmd.Args[1:] {
		c.node(a, s, 0)
	}
	return c.node(cmd.Args[0], s, args)
}

func (c *checker) node(n parse.Node, s scope, args int) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return s.dot
	case *parse.FieldNode:
		return c.chain(n, s.dot, n.Ident, s, args)
	case *parse.VariableNode:
		t, ok := s.vars[n.Ident[0]]
		if !ok {
			return c.fault(s, n, "unknown variable")
		}
		return c.chain(n, t, n.Ident[1:], s, args)
	case *parse.ChainNode:
		return c.chain(n, c.node(n.Node, s, 0), n.Field, s, args)
	case *parse.PipeNode:
		return c.pipe(n, s)
	case *parse.IdentifierNode:
		return c.function(n, s, args)
	case *parse.StringNode:
		return reflect.TypeFor[string]()
	case *parse.BoolNode:
		return reflect.TypeFor[bool]()
	case *parse.NumberNode:
		return reflect.TypeFor[int]()
	}
	return nil
}

// results of the functions that text/template brings; the rest give what cannot be known or is only tested.
var builtin = map[string]reflect.Type{
	"len": reflect.TypeFor[int](), "printf": reflect.TypeFor[string](), "not": reflect.TypeFor[bool](), "eq": reflect.TypeFor[bool](),
	"ne": reflect.TypeFor[bool](), "lt": reflect.TypeFor[bool](), "le": reflect.TypeFor[bool](), "gt": reflect.TypeFor[bool](), "ge": reflect.TypeFor[bool](),
	"and": nil, "or": nil, "index": nil, "slice": nil, "print": reflect.TypeFor[string](),
	"_html_template_htmlescaper": nil,
}

func (c *checker) function(n *parse.IdentifierNode, s scope, args int) reflect.Type {
	if f, ok := functions[n.Ident]; ok {
		return c.call(n, s, n.Ident, reflect.TypeOf(f), 0, args)
	}
	t, ok := builtin[n.Ident]
	if !ok && len(n.Ident) > 0 && n.Ident[0] != '_' {
		return c.fault(s, n, "unknown function %s", n.Ident)
	}
	return t
}

func (c *checker) call(n parse.Node, s scope, name string, f reflect.Type, skip, args int) reflect.Type {
	need := f.NumIn() - skip
	if f.IsVariadic() {
		if args < need-1 {
			c.fault(s, n, "%s takes at least %d arguments, gets %d", name, need-1, args)
		}
	} else if args != need {
		c.fault(s, n, "%s takes %d arguments, gets %d", name, need, args)
	}
	if f.NumOut() == 0 {
		return c.fault(s, n, "%s returns nothing", name)
	}
	return f.Out(0)
}

// chain follows fields and methods; only the last may take arguments.
func (c *checker) chain(n parse.Node, t reflect.Type, names []string, s scope, args int) reflect.Type {
	for i, name := range names {
		if t == nil {
			return nil
		}
		given := 0
		if i == len(names)-1 {
			given = args
		}
		pointer := t
		if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
			pointer = reflect.PointerTo(t)
		}
		if m, ok := pointer.MethodByName(name); ok {
			skip := 1
			if pointer.Kind() == reflect.Interface {
				skip = 0
			}
			t = c.call(n, s, name, m.Type, skip, given)
			continue
		}
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Struct:
			f, ok := t.FieldByName(name)
			if !ok || !f.IsExported() {
				return c.fault(s, n, "%v has no field or method %s", t, name)
			}
			if given > 0 {
				return c.fault(s, n, "%s is a field and takes no arguments", name)
			}
			t = f.Type
		case reflect.Map:
			t = t.Elem()
		case reflect.Interface:
			return nil
		default:
			return c.fault(s, n, "%v has no field or method %s", t, name)
		}
	}
	return t
}

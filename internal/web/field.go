package web

import (
	"html/template"
	"strconv"
	"strings"
)

// Field is one input with its label, hint and error, drawn by {{template "field" F}}. Its methods return changed copies,
// so that a template can say ($.Field "code" "signin.code.label").Code.
type Field struct {
	view     *View
	ID       string
	Name     string
	Label    string
	Hint     template.HTML
	Error    string
	Type     string
	Mode     string // inputmode
	Complete string // autocomplete
	Value    string
	Max      int // maxlength, 0 for none
	Class    string
	Optional bool
	Focus    bool // the first thing to do on the page
	Reveal   bool // a button shows the password
	Strength string
	Rows     int // more than one line
	Choices  []Choice
	Icon     string
	Step     string
	Lower    string // min of numbers and dates
	Upper    string // max
}

// Choice is one option of a Select.
type Choice struct {
	Value   string
	Label   string
	Current bool
}

// Field begins an input: its name, and the key of its label. It takes the error of the page's problem under the name.
func (v *View) Field(name, label string, args ...any) Field {
	return Field{view: v, ID: strings.ReplaceAll(name, ".", "-"), Name: name, Label: v.T(label, args...), Type: "text", Error: v.Problem.For(name)}
}

// Of sets the value.
func (f Field) Of(value string) Field { f.Value = value; return f }

// Help sets the hint, which stays visible.
func (f Field) Help(key string, args ...any) Field { f.Hint = f.view.Rich(key, args...); return f }

// As sets another id than the name, where a name comes twice on a page.
func (f Field) As(id string) Field { f.ID = id; return f }

// First focuses the field when the page opens. A page with an error focuses its summary instead.
func (f Field) First() Field { f.Focus = f.view.Problem == nil; return f }

// Maybe makes the field optional, and says so in the label.
func (f Field) Maybe() Field {
	f.Optional = true
	f.Label = f.view.T("base.optional", "label", f.Label)
	return f
}

// Length limits the characters.
func (f Field) Length(n int) Field { f.Max = n; return f }

// Email is the address of a person; complete is "username" where one signs in, "email" elsewhere.
func (f Field) Email(complete string) Field {
	f.Type, f.Mode, f.Complete, f.Max = "email", "email", complete, 254
	return f
}

// Password is the password a person has.
func (f Field) Password() Field {
	f.Type, f.Complete, f.Reveal, f.Value = "password", "current-password", true, ""
	return f
}

// NewPassword is a password being chosen; strength is the address that rates it, empty for none.
func (f Field) NewPassword(strength string) Field {
	f.Type, f.Complete, f.Reveal, f.Strength, f.Value = "password", "new-password", true, strength, ""
	return f
}

// Code is a one-time code: one input, spaces and paste accepted.
func (f Field) Code() Field {
	f.Mode, f.Complete, f.Class, f.Max = "numeric", "one-time-code", "input--code", 16
	return f
}

// Typed is a code of letters and digits, such as a recovery code or the code of an invitation.
func (f Field) Typed() Field {
	f.Complete, f.Class, f.Max = "one-time-code", "input--typed", 64
	return f
}

// Fill sets the autocomplete token ("name", "organization", "off").
func (f Field) Fill(complete string) Field { f.Complete = complete; return f }

// Search is a search box.
func (f Field) Search() Field {
	f.Type, f.Icon, f.Optional, f.Complete = "search", "search", true, "off"
	return f
}

// Kind sets the input's type ("tel", "date", "number", "file").
func (f Field) Kind(t string) Field { f.Type = t; return f }

// Between sets min and max of a number or date.
func (f Field) Between(lower, upper string) Field { f.Lower, f.Upper = lower, upper; return f }

// Lines makes it a text of several lines.
func (f Field) Lines(n int) Field { f.Rows = n; return f }

// Select makes it a list. An option whose value is the field's is chosen.
func (f Field) Select(choices []Choice) Field {
	f.Choices = make([]Choice, len(choices))
	for i, c := range choices {
		if f.Value != "" {
			c.Current = c.Value == f.Value
		}
		f.Choices[i] = c
	}
	return f
}

// T is the reader's words, for the component's own template.
func (f Field) T(key string, args ...any) string { return f.view.T(key, args...) }

// DescribedBy is the ids of error and hint, for aria-describedby.
func (f Field) DescribedBy() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, f.ID+"-error")
	}
	if f.Hint != "" {
		ids = append(ids, f.ID+"-hint")
	}
	if f.Strength != "" {
		ids = append(ids, f.ID+"-strength")
	}
	return strings.Join(ids, " ")
}

// Countdown is a time limit as ring and text; the script keeps it moving.
type Countdown struct {
	view  *View
	Until string // Unix ms
	Total string // seconds
	Left  string // in words
	At    string // the time of day it ends
	Dash  string // of the ring
	Over  string // what to say at the end
}

// Countdown runs until a time; total is the whole span in seconds. over is the key of the text shown at the end.
func (v *View) Countdown(until int64, total int, over string) Countdown {
	left := until - v.Now.UnixMilli()
	if left < 0 {
		left = 0
	}
	c := Countdown{view: v, Until: strconv.FormatInt(until, 10), Total: strconv.Itoa(total), Over: v.T(over)}
	c.Left = v.T("base.left", "time", v.Span(millis(left)))
	c.At = v.T("base.valid-until", "time", v.Clock(v.Now.Add(millis(left))))
	if total > 0 {
		c.Dash = strconv.FormatInt(left/10/int64(total), 10) + " 100"
	}
	return c
}

// T is the reader's words.
func (c Countdown) T(key string, args ...any) string { return c.view.T(key, args...) }

// Code is a QR code: the address of its PNG, what it is for and what it shows. Store codes and secret codes look
// different, and never stand on one page.
type Code struct {
	Src     string
	Alt     string
	Caption string
	Store   bool
}

// QR shows the QR code of a secret: caption and alt are keys.
func (v *View) QR(src, caption, alt string, args ...any) Code {
	return Code{Src: src, Alt: v.T(alt, args...), Caption: v.T(caption, args...)}
}

// StoreQR shows the QR code of a store's address.
func (v *View) StoreQR(src, caption, alt string, args ...any) Code {
	c := v.QR(src, caption, alt, args...)
	c.Store = true
	return c
}

// Pager leads through a list by keyset, drawn by {{template "pager" .Pager}}: the address of the next page, and of the
// first when this is not it; empty for none. It is a field of the page's struct, where Show gives it the reader's words.
type Pager struct {
	view  *View
	First string
	Next  string
}

// T is the reader's words.
func (p Pager) T(key string, args ...any) string { return p.view.T(key, args...) }

// Note is a notice: a tone ("", ok, warn, bad, plain), an icon, a heading and a text.
type Note struct {
	Tone string
	Icon string
	Head string
	Text template.HTML
}

// Note begins a notice; its icon follows from the tone. Keys of heading and text; an empty heading leaves it out.
func (v *View) Note(tone, head, text string, args ...any) Note {
	n := Note{Tone: tone, Icon: map[string]string{"": "info", "ok": "check", "warn": "alert", "bad": "block", "plain": "info"}[tone], Text: v.Rich(text, args...)}
	if head != "" {
		n.Head = v.T(head, args...)
	}
	return n
}

// With sets another icon.
func (n Note) With(icon string) Note { n.Icon = icon; return n }

// Empty is what a list says when there is nothing in it, and what to do.
type Empty struct {
	view             *View
	Icon, Head, Text string
	Href, Action     string // optional button
}

// Empty begins an empty state from the keys of heading and text.
func (v *View) Empty(icon, head, text string, args ...any) Empty {
	return Empty{view: v, Icon: icon, Head: v.T(head, args...), Text: v.T(text, args...)}
}

// Do adds a button that leads to href; label is a key.
func (e Empty) Do(href, label string) Empty { e.Href, e.Action = href, e.view.T(label); return e }

// CopyButton copies the text of an element; the script shows it.
type CopyButton struct{ ID, Label, Done string }

// Copy makes the button {{template "copy"}} draws: the id of the element with the text (its data-value, if it has one,
// is what is copied), and the key of the label.
func (v *View) Copy(id, label string) CopyButton {
	return CopyButton{ID: id, Label: v.T(label), Done: v.T("base.copied")}
}

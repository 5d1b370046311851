package tomlfile

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Override sets keys of a configuration from the environment: PREFIX_SECTION_KEY=value for section.key, lists separated
// by commas. environ is as os.Environ gives it. It returns a problem for every variable with the prefix that is no key,
// because a misspelled limit would be no limit, and for every value of a wrong type; except names the other variables
// that may begin with the prefix.
func Override(into any, prefix string, environ []string, except ...string) Problems {
	fields := map[string]reflect.Value{}
	collect(fields, prefix, reflect.ValueOf(into).Elem())
	var bad Problems
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix+"_") || slices.Contains(except, name) {
			continue
		}
		f, ok := fields[name]
		if !ok {
			bad = append(bad, Problem{File: "environment", Key: name, Reason: "no such key"})
			continue
		}
		if reason := assign(f, value); reason != "" {
			bad = append(bad, Problem{File: "environment", Key: name, Reason: reason})
		}
	}
	slices.SortFunc(bad, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return bad
}

// Keys lists the keys of a configuration as section.key, in the order of the structs.
func Keys(of any) []string { return keys("", reflect.TypeOf(of)) }

func keys(path string, t reflect.Type) (out []string) {
	for f := range fieldsOf(t) {
		p := join(path, f.Tag.Get("toml"))
		if f.Type.Kind() == reflect.Struct {
			out = append(out, keys(p, f.Type)...)
		} else {
			out = append(out, p)
		}
	}
	return out
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Tag.Get("toml") != "" && f.Tag.Get("toml") != "-" && !yield(f) {
				return
			}
		}
	}
}

func collect(out map[string]reflect.Value, name string, v reflect.Value) {
	for f := range fieldsOf(v.Type()) {
		n := name + "_" + strings.ToUpper(f.Tag.Get("toml"))
		if f.Type.Kind() == reflect.Struct {
			collect(out, n, v.FieldByIndex(f.Index))
		} else {
			out[n] = v.FieldByIndex(f.Index)
		}
	}
}

// assign returns what is wrong with the value, empty when nothing is. It never repeats the value: it may be a secret.
func assign(f reflect.Value, value string) string {
	switch f.Kind() {
	case reflect.String:
		f.SetString(value)
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return "true or false"
		}
		f.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return "a whole number"
		}
		f.SetInt(int64(n))
	case reflect.Slice:
		list := reflect.MakeSlice(f.Type(), 0, 4)
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = reflect.Append(list, reflect.ValueOf(part).Convert(f.Type().Elem()))
			}
		}
		f.Set(list)
	default:
		return "cannot be set from the environment"
	}
	return ""
}

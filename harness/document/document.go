// Package document reads YAML that people write, strictly: every mistake is told
// with its line and column, what was meant most likely, and what is allowed.
//
// What a document holds is a Go struct. Its fields carry tags:
//
//	yaml:"name"      the key
//	doc:"…"          what it is for, in the schema and in listings
//	enum:"a,b"       the only values, of a text
//	need:"yes"       it must be there
//
// Beside texts, numbers, booleans, lists, maps and structs, a field may be a
// [time.Duration] ("10 s"), a [Size] ("1 MiB"), a text with encoding.TextUnmarshaler,
// a type that has a [Decoder] or a [Chooser]. A value with a Validate method is asked
// after it was read.
package document

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Problem is one mistake in a file.
type Problem struct {
	File         string
	Line, Column int
	What         string // "there is no key \"lajer\""
	WayOut       string // "did you mean \"layer\"? …"
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
	if p.WayOut != "" {
		text += "; " + p.WayOut
	}
	return text
}

// Decoder is a value that reads itself from a node.
type Decoder interface {
	Decode(s *Source, n *yaml.Node)
}

// Validator is a value that knows what is wrong with itself. Where the error is a
// *[KeyError], it names the key to blame.
type Validator interface {
	Validate() error
}

// KeyError is what is wrong with one key of a value; without a key, with all of it.
type KeyError struct {
	Key    string
	What   string
	WayOut string
}

func (e *KeyError) Error() string {
	if e.Key == "" {
		return e.What
	}
	return e.Key + ": " + e.What
}

// Source is a document under reading, with the problems found so far.
type Source struct {
	File     string
	problems []error
}

// Load reads the one document of a file into the struct that into points to. All
// problems are in the error, joined, in the order of their lines.
func Load(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return Parse(file, text, into)
}

// Parse is Load of a text.
func Parse(file string, text []byte, into any) error {
	s := &Source{File: file}
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return &Problem{File: file, Line: 1, Column: 1, What: "the file is empty"}
	} else if err != nil {
		return s.syntax(err)
	}
	var more yaml.Node
	if dec.Decode(&more) == nil {
		return &Problem{File: file, Line: max(more.Line, 1), Column: 1, What: "a second document begins", WayOut: "write each in a file of its own"}
	}
	s.decode(doc.Content[0], reflect.ValueOf(into).Elem(), field{})
	slices.SortStableFunc(s.problems, func(a, b error) int {
		var p, q *Problem
		if !errors.As(a, &p) || !errors.As(b, &q) {
			return 0
		}
		return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
	})
	return errors.Join(s.problems...)
}

// syntax makes a problem of an error of the YAML parser: "yaml: line 3: …".
func (s *Source) syntax(err error) error {
	p := &Problem{File: s.File, Line: 1, Column: 1, What: "this is no YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	var line int
	if _, e := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); e == nil {
		p.Line = line
		_, rest, _ := strings.Cut(err.Error(), fmt.Sprintf("line %d: ", line))
		p.What = "this is no YAML: " + rest
	}
	return p
}

// Wrong enters a problem at a node.
func (s *Source) Wrong(n *yaml.Node, what, wayOut string) {
	s.problems = append(s.problems, &Problem{File: s.File, Line: max(n.Line, 1), Column: max(n.Column, 1), What: what, WayOut: wayOut})
}

// Failed reports whether anything was wrong since the document had so many problems.
func (s *Source) failed(before int) bool { return len(s.problems) > before }

// Decode reads a node into the value that into points to.
func (s *Source) Decode(n *yaml.Node, into any) {
	s.decode(n, reflect.ValueOf(into).Elem(), field{})
}

// field is what the tags of a struct's field say.
type field struct {
	name, doc string
	enum      []string
	need      bool
	index     []int
	typ       reflect.Type
}

// fieldsOf are the fields of a struct that a document may set.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		d := field{name: name, doc: f.Tag.Get("doc"), need: f.Tag.Get("need") != "", index: []int{i}, typ: f.Type}
		if e := f.Tag.Get("enum"); e != "" {
			d.enum = strings.Split(e, ",")
		}
		all = append(all, d)
	}
	return all
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

func (s *Source) decode(n *yaml.Node, v reflect.Value, f field) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	before := len(s.problems)
	if d, ok := v.Addr().Interface().(Decoder); ok {
		d.Decode(s, n)
	} else {
		s.decodeValue(n, v, f)
	}
	if check, ok := v.Addr().Interface().(Validator); ok && !s.failed(before) {
		s.refuse(n, check.Validate())
	}
}

// refuse enters what a value says is wrong with itself.
func (s *Source) refuse(n *yaml.Node, err error) {
	var at *KeyError
	switch {
	case err == nil:
	case errors.As(err, &at):
		s.Wrong(keyNode(n, at.Key), at.Error(), at.WayOut)
	default:
		s.Wrong(n, err.Error(), "")
	}
}

// keyNode is the value under a key of a mapping, or the mapping itself.
func keyNode(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

func (s *Source) decodeValue(n *yaml.Node, v reflect.Value, f field) {
	if v.Kind() == reflect.Pointer {
		fresh := reflect.New(v.Type().Elem())
		s.decode(n, fresh.Elem(), f)
		v.Set(fresh)
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Type() == durationType {
		if n.Kind != yaml.ScalarNode {
			s.Wrong(n, fmt.Sprintf("%sthis is %s, and should be a text", f.label(), kindOf(n)), "")
			return
		}
		var err error
		if ok {
			err = t.UnmarshalText([]byte(n.Value))
		} else {
			err = setDuration(v, n.Value)
		}
		if err != nil {
			s.Wrong(n, f.label()+err.Error(), "")
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		s.decodeStruct(n, v)
	case reflect.Slice:
		s.decodeList(n, v, f)
	case reflect.Map:
		s.decodeMap(n, v, f)
	default:
		s.decodeScalar(n, v, f)
	}
}

func (f field) label() string {
	if f.name == "" {
		return ""
	}
	return f.name + ": "
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a set of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "empty"
	}
	return fmt.Sprintf("%q", n.Value)
}

func (s *Source) decodeStruct(n *yaml.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			s.Wrong(n, "this is "+kindOf(n)+", and should be a set of keys", "the keys are "+words(names))
			return
		}
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(names, key.Value)
		switch {
		case at < 0:
			s.Unknown(key, "key", names)
		case seen[key.Value]:
			s.Wrong(key, fmt.Sprintf("the key %q stands here a second time", key.Value), "")
		default:
			s.decode(value, v.FieldByIndex(fields[at].index), fields[at])
		}
		seen[key.Value] = true
	}
	for _, f := range fields {
		if f.need && !seen[f.name] {
			s.Wrong(n, fmt.Sprintf("%q must be set", f.name), f.doc)
		}
	}
}

func (s *Source) decodeList(n *yaml.Node, v reflect.Value, f field) {
	if n.Kind != yaml.SequenceNode {
		// One element stands for a list of one.
		n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	f.need = false
	for i, item := range n.Content {
		s.decode(item, list.Index(i), f)
	}
	v.Set(list)
}

func (s *Source) decodeMap(n *yaml.Node, v reflect.Value, f field) {
	if n.Kind != yaml.MappingNode {
		s.Wrong(n, f.label()+"this is "+kindOf(n)+", and should be a set of keys", "")
		return
	}
	m := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if len(f.enum) > 0 && !slices.Contains(f.enum, key.Value) {
			s.Unknown(key, f.name+" key", f.enum)
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		s.decode(value, item, field{name: key.Value})
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}

func (s *Source) decodeScalar(n *yaml.Node, v reflect.Value, f field) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		s.Wrong(n, f.label()+"this is "+kindOf(n)+", and should be "+nameOf(v.Kind()), "")
		return
	}
	if v.Kind() == reflect.String {
		if len(f.enum) > 0 && !slices.Contains(f.enum, n.Value) {
			s.Unknown(n, f.name, f.enum)
			return
		}
		if f.need && strings.TrimSpace(n.Value) == "" {
			s.Wrong(n, f.label()+"it is empty", f.doc)
			return
		}
		v.SetString(n.Value)
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		s.Wrong(n, f.label()+kindOf(n)+" should be "+nameOf(v.Kind()), "")
	}
}

func nameOf(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Uint, reflect.Uint16, reflect.Uint64:
		return "a whole number, 0 or more"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

package document

import (
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"
)

// Chooser is a value of one of several kinds: it is written as the kind's name
// alone, or as that name with the parameters of the kind.
//
//	fault: {drop: {to: desktop, port: 5000}}
//	check: RB.build
type Chooser interface {
	// Kinds makes a fresh value, a pointer to a struct of parameters, of each kind.
	Kinds() map[string]func() any
	// Choose takes the value that was read.
	Choose(name string, value any)
	// Noun is what the kinds are of: "fault".
	Noun() string
}

// Choose reads a node that names one of the kinds of c.
func (s *Source) Choose(n *yaml.Node, c Chooser) {
	key, value := n, &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		key, value = n.Content[0], n.Content[1]
	} else if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		s.Wrong(n, "this should be one "+c.Noun()+", and is "+kindOf(n), "write the name of one "+c.Noun()+", with its parameters under it")
		return
	}
	kinds := c.Kinds()
	fresh, known := kinds[key.Value]
	if !known {
		s.Unknown(key, c.Noun(), sortedKeys(kinds))
		return
	}
	into := fresh()
	s.decode(value, reflect.ValueOf(into).Elem(), field{})
	c.Choose(key.Value, into)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

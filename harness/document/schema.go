package document

import (
	"encoding"
	"reflect"
)

// Schemer is a value whose schema cannot be read off its type. Of makes the schema
// of another type.
type Schemer interface {
	Schema(of func(reflect.Type) map[string]any) map[string]any
}

// Schema is the JSON Schema (draft 2020-12) of documents that are read into values
// of a type: what editors complete by, and other programs check with. What is read
// here is stricter: names of files and moments are understood, too.
func Schema(t reflect.Type, id, title string) map[string]any {
	s := schemaOf(t)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"], s["title"] = id, title
	return s
}

const (
	durationPattern = `^-?[0-9.]+ *(ms|s|min|h|d)$`
	sizePattern     = `^[0-9.]+ *([kKMG]i?)?B?$`
)

func schemaOf(t reflect.Type) map[string]any {
	zero := reflect.New(t).Interface()
	if own, ok := zero.(Schemer); ok {
		return own.Schema(schemaOf)
	}
	if c, ok := zero.(Chooser); ok {
		return choiceSchema(c)
	}
	switch {
	case t == durationType:
		return map[string]any{"type": "string", "pattern": durationPattern}
	case t == sizeType:
		return map[string]any{"type": []string{"string", "integer"}, "pattern": sizePattern, "minimum": 0}
	}
	if _, ok := zero.(encoding.TextUnmarshaler); ok {
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		item := schemaOf(t.Elem())
		// One stands for a list of one.
		return map[string]any{"anyOf": []any{map[string]any{"type": "array", "items": item}, item}}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": []string{"string", "number", "boolean"}}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Uint, reflect.Uint16, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	}
	return map[string]any{"type": "integer"}
}

func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fieldsOf(t) {
		p := schemaOf(f.typ)
		if f.doc != "" {
			p["description"] = f.doc
		}
		if len(f.enum) > 0 {
			if f.typ.Kind() == reflect.Map {
				p["propertyNames"] = map[string]any{"enum": f.enum}
			} else {
				p["enum"] = f.enum
				p["type"] = "string"
			}
		}
		if f.need {
			required = append(required, f.name)
		}
		properties[f.name] = p
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// choiceSchema is a name alone, where the kind needs no parameter, or a name with
// its parameters.
func choiceSchema(c Chooser) map[string]any {
	properties, alone := map[string]any{}, []string{}
	kinds := c.Kinds()
	for _, name := range sortedKeys(kinds) {
		p := structSchema(reflect.TypeOf(kinds[name]()).Elem())
		if _, needs := p["required"]; !needs {
			alone = append(alone, name)
		}
		properties[name] = p
	}
	return map[string]any{"anyOf": []any{
		map[string]any{"enum": alone},
		map[string]any{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1, "maxProperties": 1},
	}}
}

// Key is one key of a kind of value, for listings.
type Key struct {
	Name, Doc string
	Need      bool
	Values    []string
}

// Keys are the keys that a value may set.
func Keys(value any) []Key {
	t := reflect.TypeOf(value)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var keys []Key
	for _, f := range fieldsOf(t) {
		keys = append(keys, Key{f.name, f.doc, f.need, f.enum})
	}
	return keys
}

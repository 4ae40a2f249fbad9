package document

import (
	"strings"
	"testing"
	"time"
)

type inner struct {
	Word string `yaml:"word" enum:"one,two"`
}

type sample struct {
	inner
	Name  string            `yaml:"name" need:"yes" doc:"who"`
	Time  time.Duration     `yaml:"time"`
	Size  Size              `yaml:"size"`
	Count uint              `yaml:"count"`
	On    bool              `yaml:"on"`
	List  []inner           `yaml:"list"`
	Map   map[string]string `yaml:"map" enum:"a,b"`
	Maybe *uint64           `yaml:"maybe"`
}

func TestParse(t *testing.T) {
	var s sample
	err := Parse("f", []byte("name: &n x\nword: two\ntime: 1.5 min\nsize: 2 KiB\ncount: 3\non: true\nlist: {word: one}\nmap: {a: *n}\nmaybe: 0\n"), &s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "x" || s.Word != "two" || s.Time != 90*time.Second || s.Size != 2048 || s.Count != 3 || !s.On || len(s.List) != 1 || s.List[0].Word != "one" || s.Map["a"] != "x" || s.Maybe == nil {
		t.Errorf("read %+v", s)
	}
}

func TestParseTellsWhere(t *testing.T) {
	for text, want := range map[string]string{
		"name: x\nword: tow\n":         `f:2:7: there is no word "tow"; did you mean "two"?`,
		"name: ''\n":                   `f:1:7: name: it is empty; who`,
		"name: x\ntime: soon\n":        `f:2:7: time: "soon" is no duration`,
		"name: x\ntime: [1 s]\n":       `f:2:7: time: this is a list, and should be a text`,
		"name: x\nsize: 3 apples\n":    `f:2:7: size: "3 apples" is no size`,
		"name: x\nsize: -1\n":          `f:2:7: size: "-1" is no size`,
		"name: x\ncount: -1\n":         `f:2:8: count: "-1" should be a whole number, 0 or more`,
		"name: x\non: perhaps\n":       `f:2:5: on: "perhaps" should be true or false`,
		"name: x\nmap: {c: d}\n":       `f:2:7: there is no map key "c"; there is a and b`,
		"name: x\nmap: [a]\n":          `f:2:6: map: this is a list, and should be a set of keys`,
		"name: [x]\n":                  `f:1:7: name: this is a list, and should be a text`,
		"name: x\nlist: [{word: 3}]\n": `f:2:15: there is no word "3"`,
		"- name: x\n":                  `f:1:1: this is a list, and should be a set of keys; the keys are word, name`,
		"name: x\nname: y\n":           `f:2:1: the key "name" stands here a second time`,
		"# nothing\n":                  `f:1:1: the file is empty`,
		"name: x\n\tword: two\n":       `f:2:1: this is no YAML: `,
	} {
		if err := Parse("f", []byte(text), &sample{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is told as\n%v\nnot\n%s", text, err, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{"10 s": 10 * time.Second, "500ms": 500 * time.Millisecond, "-3 d": -72 * time.Hour, "1.5 h": 90 * time.Minute} {
		if d, err := ParseDuration(text); err != nil || d != want {
			t.Errorf("%s is %s, %v", text, d, err)
		}
	}
	for text, want := range map[string]string{"1 MiB": "1 MiB", "1500": "1500 B", "3GiB": "3 GiB", "1 KB": "1000 B"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%s is %s, %v", text, s, err)
		}
	}
}

package scenario

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"offload-e2e/harness/document"
)

// MomentKind is what a moment waits for.
type MomentKind int

// The kinds of moments.
const (
	Before     MomentKind = iota // before the checks
	AfterTime                    // so long after the checks began
	AfterPhase                   // when a phase of the walk is over
	AfterNAR                     // when so much of a NAR has passed to the laptop
	Accepted                     // when the builder has accepted a build
)

// Moment is when something goes wrong.
type Moment struct {
	Kind  MomentKind
	Time  time.Duration
	Phase int
	Bytes document.Size
}

var (
	afterTime  = regexp.MustCompile(`^(?:after )?([0-9.]+ *(?:ms|s|min|h))$`)
	afterPhase = regexp.MustCompile(`^after phase ([1-4])$`)
	afterNAR   = regexp.MustCompile(`^when (.+) of a NAR has passed$`)
)

// momentForms are how moments are written.
var momentForms = []string{"before the checks", "after 10 s", "after phase 3", "when 1 MiB of a NAR has passed", "when the builder has accepted the build"}

// Schema is the pattern of what can be read.
func (*Moment) Schema(func(reflect.Type) map[string]any) map[string]any {
	return map[string]any{"type": "string", "pattern": `^(before the checks|(after )?[0-9.]+ *(ms|s|min|h)|after phase [1-4]|when .+ of a NAR has passed|when the builder has accepted the build)$`}
}

// UnmarshalText reads a moment.
func (m *Moment) UnmarshalText(text []byte) (err error) {
	s := string(text)
	switch {
	case s == "before the checks":
		*m = Moment{}
	case s == "when the builder has accepted the build":
		*m = Moment{Kind: Accepted}
	case afterPhase.MatchString(s):
		m.Kind = AfterPhase
		m.Phase, err = strconv.Atoi(afterPhase.FindStringSubmatch(s)[1])
	case afterTime.MatchString(s):
		m.Kind = AfterTime
		m.Time, err = document.ParseDuration(afterTime.FindStringSubmatch(s)[1])
	case afterNAR.MatchString(s):
		m.Kind = AfterNAR
		err = m.Bytes.UnmarshalText([]byte(afterNAR.FindStringSubmatch(s)[1]))
	default:
		return fmt.Errorf("there is no moment %q; %s", s, document.Suggest(s, momentForms))
	}
	return err
}

// String writes a moment as it is read.
func (m Moment) String() string {
	switch m.Kind {
	case AfterTime:
		return fmt.Sprintf("after %s", m.Time)
	case AfterPhase:
		return fmt.Sprintf("after phase %d", m.Phase)
	case AfterNAR:
		return fmt.Sprintf("when %s of a NAR has passed", m.Bytes)
	case Accepted:
		return "when the builder has accepted the build"
	}
	return "before the checks"
}

package report

import (
	"fmt"
	"io"
	"strings"
)

// Metrics writes offload-e2e.prom in the text format that Prometheus's textfile
// collector reads, and OpenMetrics readers too: outcomes, durations, measurements.
type Metrics struct{}

// MetricsFile is its name in the run's folder.
const MetricsFile = "offload-e2e.prom"

// File is offload-e2e.prom.
func (Metrics) File() string { return MetricsFile }

func (Metrics) Write(w io.Writer, r *Report) error {
	m := &metrics{b: &strings.Builder{}}
	m.family("offload_e2e_run_info", "The run that these are of, and what it ran on.")
	m.sample(1, "run", r.Run.ID, "config", r.Run.Config, "harness", r.Run.Harness, "provider", r.Run.Provider,
		"guest", r.Run.Guest.Kind, "accelerator", r.Run.Accelerator, "verdict", string(r.Verdict))
	m.family("offload_e2e_run_pass", "Whether the run passed.")
	m.sample(number01(r.Verdict == Pass))
	if !r.Run.Ended.IsZero() && !r.Run.Started.IsZero() {
		m.family("offload_e2e_run_seconds", "How long the run took.")
		m.sample(r.Run.Ended.Sub(r.Run.Started).Seconds())
		m.family("offload_e2e_run_ended_timestamp_seconds", "When the run ended.")
		m.sample(float64(r.Run.Ended.Unix()))
	}
	m.family("offload_e2e_findings", "How many findings are in each state.")
	n := r.count()
	for _, s := range []State{Holds, Warns, Broken, State(Known), Errored, Skipped} {
		m.sample(float64(n[s]), "state", string(s))
	}
	all := findingViews(r.Findings)
	m.family("offload_e2e_check_holds", "Whether a check holds; one that was skipped is not here.")
	for _, f := range all {
		if f.State != Skipped {
			m.sample(number01(f.State == Holds || f.State == Warns), "check", f.Check, "machine", f.Machine, "phase", f.Phase, "id", f.Anchor)
		}
	}
	m.family("offload_e2e_check_seconds", "How long a check took.")
	for _, f := range all {
		m.sample(f.Seconds, "check", f.Check, "machine", f.Machine, "phase", f.Phase, "id", f.Anchor)
	}
	m.family("offload_e2e_span_seconds", "How long a part of the run took.")
	seen := map[string]bool{}
	for _, s := range r.Timeline {
		if key := s.Kind + " " + s.Name; (s.Kind == "phase" || s.Kind == "setup") && !seen[key] {
			seen[key] = true
			m.sample(s.Seconds, "name", s.Name, "kind", s.Kind)
		}
	}
	m.family("offload_e2e_root_causes", "How many root causes there are.")
	m.sample(float64(len(r.RootCauses)))
	if len(r.Promises) > 0 {
		m.family("offload_e2e_promise_value", "What was measured of what was promised.")
		for _, p := range r.Promises {
			m.sample(p.Value, "promise", p.ID, "unit", p.Unit)
		}
		m.family("offload_e2e_promise_kept", "Whether it is what was promised.")
		for _, p := range r.Promises {
			m.sample(number01(p.Kept()), "promise", p.ID)
		}
	}
	m.b.WriteString("# EOF\n")
	_, err := io.WriteString(w, m.b.String())
	return err
}

type metrics struct {
	b    *strings.Builder
	name string
}

// family begins a family of gauges.
func (m *metrics) family(name, help string) {
	m.name = name
	fmt.Fprintf(m.b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// sample is a value with its labels, name and value in turn.
func (m *metrics) sample(v float64, labels ...string) {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var parts []string
	for i := 0; i+1 < len(labels); i += 2 {
		parts = append(parts, fmt.Sprintf(`%s="%s"`, labels[i], escape.Replace(oneLine(labels[i+1]))))
	}
	text := ""
	if len(parts) > 0 {
		text = "{" + strings.Join(parts, ",") + "}"
	}
	fmt.Fprintf(m.b, "%s%s %g\n", m.name, text, v)
}

func number01(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// The module system's words for what it refuses (lib/modules.nix).
var (
	conflicting = regexp.MustCompile("The option `([^']+)' (?:has conflicting definition values|is defined multiple times while it's expected to be unique)")
	definedIn   = regexp.MustCompile("(?m)^\\s*- In `([^']+)'(?:, line (\\d+))?(?::[ \\t]*(.*))?$")
	noOption    = regexp.MustCompile("The option `([^']+)' does not exist")
	atPlace     = regexp.MustCompile(`(?m)(?:^| )at (/\S+?):(\d+)`)
)

// NotEvaluated is the finding of [Evaluated] where the modules do not evaluate: err is
// what nixos.Evaluator.Evaluate said.
func NotEvaluated(role nixos.Role, err error) report.Finding {
	c := Evaluated(role)
	c.Run = func(_ context.Context, p *Proof) {
		d, theirs := whyNotEvaluated(role, err)
		if !theirs {
			p.Error(err)
			return
		}
		p.Evidence("command", role, "nixos-rebuild build", err.Error())
		p.Broken(d)
	}
	return (&Bench{}).Run(context.Background(), c)
}

// whyNotEvaluated names the definitions that an evaluation stumbles over. Theirs is
// false where the configuration is not to blame.
func whyNotEvaluated(role nixos.Role, err error) (d report.Diagnosis, theirs bool) {
	var assertion *nixos.AssertionError
	if errors.As(err, &assertion) {
		return report.Diagnosis{Code: "config.assertion", Effective: oneLine(strings.Join(assertion.Messages, "; ")),
			Sentence: fmt.Sprintf("the %s's configuration refuses itself: %s", role, oneLine(strings.Join(assertion.Messages, "; ")))}, true
	}
	var evaluation *nixos.EvaluationError
	if !errors.As(err, &evaluation) {
		return report.Diagnosis{}, false
	}
	text := evaluation.Message
	if m := conflicting.FindStringSubmatch(text); m != nil {
		var places []string
		for _, def := range definedIn.FindAllStringSubmatch(text, -1) {
			place := def[1]
			if def[2] != "" {
				place += ":" + def[2]
			}
			if d.Source == "" && strings.HasPrefix(place, "/") {
				d.Source = place
			}
			if def[3] != "" {
				place += " (" + def[3] + ")"
			}
			places = append(places, place)
		}
		d.Code, d.Effective, d.Expected = "config.conflict", m[1], "one definition"
		d.Sentence = fmt.Sprintf("the %s's configuration does not evaluate: %s has %s of equal rank that contradict each other, one definition is expected: %s",
			role, m[1], count(len(places), "definition"), strings.Join(places, " and "))
		return d, true
	}
	if m := atPlace.FindStringSubmatch(text); m != nil {
		d.Source = m[1] + ":" + m[2]
	}
	if m := noOption.FindStringSubmatch(text); m != nil {
		if def := definedIn.FindStringSubmatch(text); def != nil && d.Source == "" {
			d.Source = def[1]
		}
		d.Code, d.Effective = "config.no-option", m[1]
		d.Sentence = fmt.Sprintf("the %s's configuration sets %s, an option that does not exist (%s)", role, m[1], d.Source)
		return d, true
	}
	first := oneLine(strings.TrimPrefix(strings.TrimSpace(text), "error:"))
	if len(first) > 300 {
		first = strings.ToValidUTF8(first[:300], "") + "…"
	}
	d.Code, d.Effective = "config.does-not-evaluate", first
	d.Sentence = fmt.Sprintf("the %s's configuration does not evaluate: %s", role, first)
	return d, true
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// DesktopAlone proves that the desktop builds for its laptops without the internet: it
// asks the internet's caches for what a build needs, and has to give up soon.
func DesktopAlone() Check {
	return Check{"OF.desktop-settings", "the desktop's settings let it build when the internet is away", "desktop", func(ctx context.Context, p *Proof) {
		s, ok := p.NixConfig(ctx, nixos.Desktop)
		if !ok {
			return
		}
		fallback := p.setting(nixos.Desktop, s, "fallback")
		timeout := p.setting(nixos.Desktop, s, "connect-timeout")
		attempts := p.setting(nixos.Desktop, s, "download-attempts")
		var upstream string
		for _, sub := range ParseSubstituters(s.List("substituters")) {
			if !sub.Local(p.lan()) && sub.Hostname() != "localhost" {
				upstream = sub.Raw
				break
			}
		}
		patient := s.Int("connect-timeout") <= 0 || s.Int("connect-timeout") > 10
		if upstream == "" || fallback == "true" && !patient {
			return
		}
		what := fmt.Sprintf("fallback = %s, connect-timeout = %s, download-attempts = %s", fallback, timeout, attempts)
		const want = "fallback = true, connect-timeout = 5"
		d := report.Diagnosis{Code: "builder.waits-for-internet", Effective: what, Expected: want,
			Sentence: fmt.Sprintf("the desktop asks %s for each input of a laptop's build, with %s and not %s: without the internet every build waits for it, or fails", upstream, what, want)}
		option := "nix.settings.fallback"
		if patient {
			option = "nix.settings.connect-timeout"
		}
		d = p.blame(ctx, nixos.Desktop, option, d)
		answer, ok := p.Exec(ctx, nixos.Desktop, "curl", "-sSf", "--max-time", "10", strings.TrimSuffix(upstream, "/")+"/nix-cache-info")
		switch {
		case !ok:
		case answer.OK():
			p.Warn(d)
		default:
			p.Broken(d)
		}
	}}
}

// SleepUnits proves that what the laptop does before it sleeps it does each time: a
// oneshot that remains active after its first run is not started again
// (systemd.service(5), RemainAfterExit).
func SleepUnits() Check {
	return Check{"RC.sleep-units", "what the laptop does around sleep it does every time", "laptop", func(ctx context.Context, p *Proof) {
		for name, unit := range p.Client.UnitFiles {
			if !strings.HasSuffix(name, ".service") || !unit.Enable {
				continue
			}
			target := ""
			for _, by := range append(unit.WantedBy, unit.RequiredBy...) {
				switch by {
				case "sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target", "suspend-then-hibernate.target":
					target = by
				}
			}
			stays := regexp.MustCompile(`(?mi)^RemainAfterExit=(true|yes|on|1)\s*$`).MatchString(unit.Text)
			ends := regexp.MustCompile(`(?mi)^(StopWhenUnneeded=(true|yes|on|1)|(PartOf|BindsTo)=.*(sleep|suspend|hibernate))`).MatchString(unit.Text)
			if target == "" || !stays || ends {
				continue
			}
			p.Evidence("file", nixos.Laptop, name, unit.Text)
			p.Broken(p.blame(ctx, nixos.Laptop, "systemd.services."+strings.TrimSuffix(name, ".service"), report.Diagnosis{Code: "power.sleep-once",
				Effective: "RemainAfterExit=true", Expected: "StopWhenUnneeded=true",
				Sentence: fmt.Sprintf("the laptop's %s is to run at every %s and runs at the first only: with RemainAfterExit=true it stays active, and is not started again (StopWhenUnneeded=true, or no RemainAfterExit)", name, target)}))
			return
		}
		p.Evidence("file", nixos.Laptop, "units around sleep", "none that runs only once")
	}}
}

// UserCommands are the commands of the contract that end by themselves, each with the
// time a person would wait for it.
func UserCommands() []UserCommand {
	return []UserCommand{
		{Name: "offload-server-status", Role: nixos.Desktop, Deadline: 30 * time.Second},
		{Name: "offload-server-test", Role: nixos.Desktop, Deadline: 60 * time.Second},
		{Name: "offload-generate-cache-keys", Role: nixos.Desktop, Stdin: "n\n", Deadline: 30 * time.Second},
		{Name: "offload-status", Role: nixos.Laptop, Deadline: 45 * time.Second},
		{Name: "offload-test-build", Role: nixos.Laptop, Deadline: 60 * time.Second},
		{Name: "offload-mount", Role: nixos.Laptop, Deadline: 60 * time.Second},
		{Name: "offload-unmount", Role: nixos.Laptop, Deadline: 45 * time.Second},
		{Name: "offload-setup", Role: nixos.Laptop, Stdin: "\n\n\n\n", Deadline: 90 * time.Second},
		{Name: "cache-status", Role: nixos.Laptop, Deadline: 30 * time.Second},
	}
}

// CommandEnds is [Typed] for one who only wants to know that it ends.
func CommandEnds(c UserCommand) Check { return Typed(c, new(Said)) }

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"offload-e2e/harness/guest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/nixguest"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// guests are what machines boot, are before the user's configuration, and are
// switched by.
type guests struct {
	images   map[nixos.Role]*guest.Image
	base     map[nixos.Role]*nixos.Configuration
	switcher lab.Switcher
}

var roles = []nixos.Role{nixos.Desktop, nixos.Laptop}

// hostNames are the machines' names before the user's configuration.
var hostNames = map[nixos.Role]string{nixos.Desktop: "desktop", nixos.Laptop: "kernelcore"}

// Auto is the kind of guest that is chosen by what this machine has.
const Auto = "auto"

// Choice is which guest a run takes, and why.
type Choice struct {
	Kind, Reason string
	// WayOut is how there would be NixOS guests.
	WayOut string
	// Nix builds NixOS guests.
	Nix *nixguest.Nix
}

// NixOptions are where NixOS guests are made from, and kept.
func NixOptions(vmconfigs, cache string) nixguest.Options {
	return nixguest.Options{Flake: vmconfigs, Nixpkgs: os.Getenv(nixguest.NixpkgsVariable), StateDir: filepath.Join(cache, "nixos")}
}

// ChooseGuest says which guest is taken where kind is asked for. Where NixOS is,
// and cannot be had, the error says why.
func ChooseGuest(ctx context.Context, kind string, o nixguest.Options) (Choice, error) {
	if kind == guest.Embedded {
		return Choice{Kind: guest.Embedded, Reason: "as asked for"}, nil
	}
	nix, err := nixguest.Find(ctx, o)
	var unavailable *nixguest.UnavailableError
	switch {
	case err == nil && kind == Auto:
		return Choice{Kind: guest.NixOS, Reason: fmt.Sprintf("nix %s is here, with %s", nix.Version, nix.Source), Nix: nix}, nil
	case err == nil:
		return Choice{Kind: guest.NixOS, Reason: "as asked for", Nix: nix}, nil
	case kind == Auto && errors.As(err, &unavailable):
		return Choice{Kind: guest.Embedded, Reason: unavailable.Reason, WayOut: "For NixOS guests: " + unavailable.WayOut}, nil
	}
	return Choice{}, err
}

// makeGuests evaluates the configuration and makes the guests of the kind asked
// for. What can be found wrong with the configuration is found before an image is
// built, where that takes long.
func (r *Run) makeGuests(ctx context.Context, o Options) (made guests, err error) {
	choice := Choice{Kind: guest.NixOS, Reason: "prepared"}
	if o.Prepared == "" {
		if err := r.step("guest", func(say func(string, ...any)) (err error) {
			choice, err = ChooseGuest(ctx, o.Guest, NixOptions(o.Vmconfigs, o.Cache))
			say("%s: %s", choice.Kind, choice.Reason)
			return err
		}); err != nil {
			return made, err
		}
	}
	explainer := &nixos.Evaluator{Embedded: o.Embedded, Base: []string{o.Base}, StateDir: o.Eval}
	if choice.Kind == guest.NixOS {
		made, err = r.makeNixOS(ctx, o, choice.Nix, explainer)
	} else {
		made, err = r.makeEmbedded(ctx, o, explainer)
	}
	if err != nil {
		return made, err
	}
	img := made.images[nixos.Desktop]
	name := img.ID
	if other := made.images[nixos.Laptop].ID; other != name {
		name += " " + other
	}
	r.Recorder.EditRun(func(run *report.Run) {
		run.Guest = report.Guest{Kind: img.Kind, Reason: choice.Reason, Image: name, Versions: img.Versions}
	})
	return made, nil
}

// makeEmbedded makes the embedded guest, by whose Nix configurations are evaluated.
func (r *Run) makeEmbedded(ctx context.Context, o Options, evaluator *nixos.Evaluator) (guests, error) {
	made := guests{images: map[nixos.Role]*guest.Image{}, base: map[nixos.Role]*nixos.Configuration{}}
	if err := r.step("guest image", func(say func(string, ...any)) error {
		recipe, err := guest.LoadRecipe(o.Recipe)
		if err != nil {
			return err
		}
		img, err := (&guest.Store{Dir: o.Images, Mirror: o.Mirror, Say: say}).Get(ctx, recipe)
		if err != nil {
			return err
		}
		made.images[nixos.Desktop], made.images[nixos.Laptop] = img, img
		evaluator.NixBin = img.NixBin()
		return nil
	}); err != nil {
		return made, err
	}
	r.Evaluator = evaluator
	return made, r.step("evaluate the configuration", func(func(string, ...any)) error {
		bases := make([]*nixos.Configuration, len(roles))
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return r.evaluate(ctx) })
		for i, role := range roles {
			g.Go(func() (err error) {
				bases[i], err = evaluator.Evaluate(ctx, nixos.Host{Role: role,
					Settings: []string{fmt.Sprintf(`{ networking.hostName = %s; }`, nixos.Quote(hostNames[role]))}})
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err != nil {
					return fmt.Errorf("evaluate the machine's own base (this is not your configuration's fault): %w", errors.New(err.Error()))
				}
				return nil
			})
		}
		err := g.Wait()
		for i, role := range roles {
			made.base[role] = bases[i]
		}
		return err
	})
}

// evaluate evaluates the user's hosts.
func (r *Run) evaluate(ctx context.Context) error {
	users := make([]*nixos.Configuration, len(roles))
	g, ctx := errgroup.WithContext(ctx)
	for i, role := range roles {
		g.Go(func() (err error) {
			users[i], err = r.Evaluator.Evaluate(ctx, r.Repository.Hosts[role])
			return err
		})
	}
	err := g.Wait()
	for i, role := range roles {
		r.Configurations[role] = users[i]
	}
	return err
}

// maker makes NixOS guests: nix does, or they were prepared.
type maker interface {
	Evaluate(ctx context.Context, h nixos.Host) (*nixos.Configuration, error)
	Base(ctx context.Context, role nixos.Role, hostName string, say func(format string, args ...any)) (*nixos.Configuration, *guest.Image, error)
}

// nixosEvaluator evaluates by NixOS's own modules. Where an option's value comes
// from is told by ours, which know lines.
type nixosEvaluator struct {
	maker
	explainer *nixos.Evaluator
}

func (e nixosEvaluator) Explain(ctx context.Context, h nixos.Host, options ...string) (map[string]nixos.Option, error) {
	return e.explainer.Explain(ctx, h, options...)
}

// makeNixOS builds NixOS guests with nix, unless they are prepared.
func (r *Run) makeNixOS(ctx context.Context, o Options, nix *nixguest.Nix, explainer *nixos.Evaluator) (made guests, err error) {
	made = guests{images: map[nixos.Role]*guest.Image{}, base: map[nixos.Role]*nixos.Configuration{},
		switcher: &nixguest.Switcher{Nix: nix, Sockets: o.State}}
	var m maker
	if o.Prepared != "" {
		m, err = nixguest.OpenPrepared(o.Prepared, NixOptions(o.Vmconfigs, o.Cache).StateDir)
	} else {
		explainer.NixBin = filepath.Dir(nix.Program)
		m, err = r.nixGuests(o, nix)
	}
	if err != nil {
		return made, err
	}
	r.Evaluator = nixosEvaluator{m, explainer}
	if err := r.step("evaluate the configuration", func(func(string, ...any)) error { return r.evaluate(ctx) }); err != nil {
		return made, err
	}
	for _, role := range roles {
		if err := r.step("the "+string(role)+"'s guest image", func(say func(string, ...any)) (err error) {
			made.base[role], made.images[role], err = m.Base(ctx, role, hostNames[role], say)
			return err
		}); err != nil {
			return made, err
		}
	}
	if o.Prepared != "" {
		return made, nil
	}
	// A system that does not build is found before anything boots.
	for _, role := range roles {
		if err := r.step("the "+string(role)+"'s system", func(say func(string, ...any)) error {
			_, err := nix.BuildSystem(ctx, r.Configurations[role], say)
			return err
		}); err != nil {
			return made, err
		}
	}
	return made, nil
}

// nixGuests are guests that trust the lab's internet.
func (r *Run) nixGuests(o Options, nix *nixguest.Nix) (*nixguest.Guests, error) {
	pem, err := lab.Authority(o.Cache)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(nix.StateDir, "authority.pem")
	if err := errors.Join(os.MkdirAll(nix.StateDir, 0o755), os.WriteFile(file, pem, 0o644)); err != nil {
		return nil, fmt.Errorf("keep the test authority: %w", err)
	}
	return &nixguest.Guests{Nix: nix, Authority: file, Containers: o.Provider == lab.Docker}, nil
}

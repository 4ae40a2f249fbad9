package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offload-e2e/harness/nixos"
)

// Maker makes a check for a bench. It is a struct whose fields are the check's
// parameters, with the tags of harness/document: scenarios ask for checks by name
// and set them.
type Maker interface{ Make(b *Bench) Check }

// makers are the checks that can be asked for by name: those that hold at the end
// of the four phases, and those that need a moment or a parameter of their own.
var makers = withCommands(map[string]func() Maker{
	"EV.server-enabled":   plain(ServerEnabled),
	"EV.builder-trusted":  plain(BuilderTrusted),
	"EV.sandbox":          plain(DesktopSandbox),
	"EV.builders":         plain(BuildersConfigured),
	"EV.builder-user":     plain(BuilderUserExists),
	"EV.builder-key":      plain(BuilderKeyExists),
	"EV.addresses":        plain(Addresses),
	"EV.trusted-keys":     plain(TrustedKeys),
	"EV.substituters":     plain(Substituters),
	"OF.settings":         plain(OfflineSettings),
	"OF.desktop-settings": plain(DesktopAlone),
	"RC.sleep-units":      plain(SleepUnits),
	"PT.mtu":              plain(PathMTU),
	"SR.sessions":         plain(Sessions),
	"SR.keepalive":        plain(Keepalive),
	"RB.room-desktop":     plain(func() Check { return Room(nixos.Desktop) }),
	"RB.room-laptop":      plain(func() Check { return Room(nixos.Laptop) }),
	"HG.mounts":           plain(BootSafe),
	"PT.ssh":              port("ssh"),
	"PT.cache":            port("cache"),
	"PT.nfs":              port("nfs"),
	"PT.rpcbind":          port("rpcbind"),
	"PT.ping":             plain(Ping),
	"SR.builder-home":     plain(BuilderHomeModes),
	"SR.builder-key":      plain(BuilderKey),
	"SR.authorized-key":   plain(AuthorizedKey),
	"SR.login":            plain(Login),
	"SR.nix-on-path":      plain(NixOnPath),
	"CH.key-files":        plain(CacheKeyFiles),
	"CH.info":             plain(CacheInfo),
	"CH.signature":        plain(CacheSignature),
	"CH.hit":              plain(CacheHit),
	"CH.internet":         plain(InternetHit),
	"RB.build":            plain(RemoteBuild),
	"NF.export-store":     plain(func() Check { return Exported(Shares[0]) }),
	"NF.export-offload":   plain(func() Check { return Exported(Shares[1]) }),
	"NF.mount-store":      plain(func() Check { return Mounted(Shares[0]) }),
	"NF.mount-offload":    plain(func() Check { return Mounted(Shares[1]) }),
	"NF.read-store":       plain(func() Check { return Readable(Shares[0]) }),
	"NF.read-only-store":  plain(func() Check { return ReadOnly(Shares[0]) }),
	"NF.write-offload":    plain(func() Check { return Writable(Shares[1]) }),

	"NF.served-store":   plain(func() Check { return Served(Shares[0]) }),
	"NF.served-offload": plain(func() Check { return Served(Shares[1]) }),

	"RB.user-build": func() Maker { return &buildAs{User: "kernelcore"} },
	"RB.feature":    func() Maker { return &buildNeeding{} },
	"OF.build":      func() Maker { return &offline{How: "away", Budget: time.Minute, make: Offline} },
	"OF.fetch":      func() Maker { return &offline{How: "away", Budget: time.Minute, make: FetchFallback} },

	"PT.ssh-repeated":  plain(Repeated),
	"HG.login":         plain(LoginEnds),
	"HG.build":         plain(BuildEnds),
	"HG.share-store":   plain(func() Check { return ShareEnds(Shares[0]) }),
	"HG.share-offload": plain(func() Check { return ShareEnds(Shares[1]) }),
	"RB.long-build":    plain(LongBuild),
	"RB.two-clients":   plain(TwoClients),
	"CH.after-miss":    plain(CacheHitAfterMiss),
	"NF.open-store":    plain(func() Check { return OpenFiles(Shares[0]) }),
	"NF.open-offload":  plain(func() Check { return OpenFiles(Shares[1]) }),
	"PF.clients":       plain(MoreClients),
	"PF.overhead":      plain(BuildOverhead),
	"PF.slots":         plain(Slots),
	"PF.share-store":   plain(func() Check { return ShareSpeed(Shares[0]) }),
	"PF.share-offload": plain(func() Check { return ShareSpeed(Shares[1]) }),
	"RC.build-after":   func() Maker { return &recovery{After: "away", make: Resumed} },
	"RC.mount-after":   func() Maker { return &recovery{After: "away", make: Remounted} },
	"RC.cache-after":   func() Maker { return &recovery{After: "away", make: CacheResumed} },
})

// withCommands adds, for each command that users type, that it ends.
func withCommands(all map[string]func() Maker) map[string]func() Maker {
	for _, c := range UserCommands() {
		all["HG."+c.Name] = plain(func() Check { return CommandEnds(c) })
	}
	return all
}

// ByName is a fresh maker of the check of that name, to set the parameters of.
func ByName(name string) (Maker, bool) {
	fresh, known := makers[name]
	if !known {
		return nil, false
	}
	return fresh(), true
}

// Makers are all checks that can be asked for by name.
func Makers() map[string]func() Maker { return maps.Clone(makers) }

// proofs are all checks of the four phases that hold at their end, in an order in
// which one names the cause of the next.
var proofs = strings.Fields(`
	EV.server-enabled EV.builder-trusted EV.sandbox OF.desktop-settings RB.room-desktop PT.ssh PT.cache PT.nfs PT.rpcbind
	NF.export-store NF.export-offload CH.key-files CH.info CH.signature SR.builder-home
	SR.builder-key PT.ping PT.mtu EV.builders EV.builder-user EV.builder-key EV.addresses EV.trusted-keys
	EV.substituters OF.settings HG.mounts RC.sleep-units SR.authorized-key SR.login SR.nix-on-path
	SR.sessions SR.keepalive RB.room-laptop RB.build CH.hit NF.mount-store NF.mount-offload NF.read-store NF.read-only-store NF.write-offload`)

// ProofNames are the names of what [Bench.Proofs] makes.
func ProofNames() []string { return slices.Clone(proofs) }

// Proofs are the checks that hold at the end of the four phases.
func (b *Bench) Proofs() []Check {
	all := make([]Check, len(proofs))
	for i, name := range proofs {
		all[i] = makers[name]().Make(b)
	}
	return all
}

// simple is a check without parameters.
type simple struct{ make func() Check }

func (s *simple) Make(*Bench) Check { return s.make() }

func plain(make func() Check) func() Maker { return func() Maker { return &simple{make} } }

// servicePort is the check of a port of the desktop.
type servicePort struct{ name string }

func (s *servicePort) Make(b *Bench) Check {
	all := b.Services()
	i := slices.IndexFunc(all, func(svc Service) bool { return svc.Name == s.name })
	return PortOpen(all[i])
}

func port(name string) func() Maker { return func() Maker { return &servicePort{name} } }

type buildAs struct {
	User    string   `yaml:"user" doc:"the user of the laptop who builds"`
	Options []string `yaml:"options" doc:"further options of nix-build"`
}

func (m *buildAs) Make(*Bench) Check { return BuildAs(m.User, m.Options...) }

type buildNeeding struct {
	Feature string `yaml:"feature" need:"yes" doc:"the system feature that the build requires, as kvm"`
}

func (m *buildNeeding) Make(*Bench) Check { return BuildNeeding(m.Feature) }

type offline struct {
	How    string        `yaml:"how" doc:"in which way the desktop is away; completes \"with the desktop …\""`
	Budget time.Duration `yaml:"budget" doc:"how long the build may take"`
	make   func(how string, budget time.Duration) Check
}

func (m *offline) Make(*Bench) Check { return m.make(m.How, m.Budget) }

// Validate refuses a budget that nothing can keep to.
func (m *offline) Validate() error {
	if m.Budget <= 0 {
		return fmt.Errorf("the budget must be more than nothing")
	}
	return nil
}

type recovery struct {
	After string `yaml:"after" doc:"in which way the desktop was away; completes \"after the desktop was …\""`
	make  func(after string) Check
}

func (m *recovery) Make(*Bench) Check { return m.make(m.After) }

package report

import (
	"fmt"
	"slices"
	"strings"
)

// picture is the lab as it is drawn: machines, and what was proved of each link
// between them. Sizes are in the units of its view box.
type picture struct {
	Width, Height int
	Boxes         []box
	Links         []linkView
}

type box struct {
	X, Y, W, H    int
	Name, Address string
}

// linkView is one link: its line, its state, and what says so.
type linkView struct {
	X1, Y1, X2, Y2 int
	Name           string // "SSH, port 22: builds"
	From, To       string
	Tone, Word     string
	Words          string
	Anchor         string
}

// linkKind is a kind of link from each laptop to the desktop.
type linkKind struct {
	name     string
	families []string
	checks   []string // besides, by full name
	// proof is the claim that is the link's whole use, by the beginning of its name:
	// nothing else that holds makes the link proved.
	proof string
}

var linkKinds = []linkKind{
	{"SSH 22, builds", []string{"SR", "RB"}, []string{"PT.ssh"}, "RB.build"},
	{"HTTP 5000, cache", []string{"CH"}, []string{"PT.cache"}, "CH.hit"},
	{"NFS 2049, store", []string{"NF"}, []string{"PT.nfs", "PT.rpcbind"}, "NF.mount"},
}

// internetLink is proved by what is fetched from the internet's cache.
var internetLink = linkKind{"HTTPS 443, internet's cache", nil, []string{"CH.internet"}, "CH.internet"}

// The usual addresses, for a report that names none.
var usualMachines = map[string]string{"desktop": "192.168.15.7", "laptop": "192.168.15.9"}

// draw places the laptops on the left, the desktop on the right, and the internet
// above.
func draw(r *Report) picture {
	machines := r.Run.Machines
	if len(machines) == 0 {
		machines = usualMachines
	}
	clients := slices.DeleteFunc(sortedKeys(machines), func(name string) bool { return name == server })
	const boxW, left, right, top, row = 112, 4, 344, 74, 124
	p := picture{Width: 460, Height: top + row*max(1, len(clients)) + 4}
	all := findingViews(r.Findings)
	p.Boxes = append(p.Boxes,
		box{X: right, Y: top, W: boxW, H: p.Height - top - 4, Name: server, Address: machines[server]},
		box{X: 170, Y: 4, W: 130, H: 44, Name: "internet", Address: "cache.nixos.org"})
	for i, name := range clients {
		y := top + i*row
		p.Boxes = append(p.Boxes, box{X: left, Y: y, W: boxW, H: row - 12, Name: name, Address: machines[name]})
		for j, kind := range linkKinds {
			l := linkState(kind, name, all)
			l.X1, l.X2, l.Y1 = left+boxW, right, y+30+j*34
			l.Y2, l.From, l.To = l.Y1, name, server
			p.Links = append(p.Links, l)
		}
	}
	if len(clients) > 0 {
		l := linkState(internetLink, clients[0], all)
		l.X1, l.Y1, l.X2, l.Y2, l.From, l.To = left+boxW/2, top, 170, 26, clients[0], "internet"
		p.Links = append(p.Links, l)
	}
	return p
}

// linkState is the worst that was found of a link, else the best.
func linkState(kind linkKind, client string, all []findingView) linkView {
	l := linkView{Name: kind.name, Tone: "unproved", Word: "not proved", Words: "nothing in this run proves it"}
	worst := -1
	for _, f := range all {
		concerns := f.Machine == client || f.Machine == server
		if !concerns || !slices.Contains(kind.families, f.Family) && !slices.Contains(kind.checks, f.Check) {
			continue
		}
		if f.State == Skipped && worst < 0 && strings.HasPrefix(f.Check, kind.proof) {
			l.Words, l.Anchor = f.Words, f.Anchor
			continue
		}
		rank := slices.Index([]State{Holds, Warns, State(Known), Errored, Broken}, State(f.Word))
		if rank <= 0 && !strings.HasPrefix(f.Check, kind.proof) || rank <= worst {
			continue // an open port is not yet a link in use
		}
		worst = rank
		l.Tone, l.Word, l.Words, l.Anchor = f.Tone, f.Word, f.Words, f.Anchor
	}
	return l
}

// Title is what a screen reader says of the whole picture.
func (p picture) Title() string {
	var parts []string
	for _, l := range p.Links {
		parts = append(parts, fmt.Sprintf("%s from %s to %s: %s", l.Name, l.From, l.To, l.Word))
	}
	return "The lab. " + strings.Join(parts, "; ") + "."
}
